/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Start of every bare-metal test guest: M-mode, FPU on, a stack of 64 KiB for each hart below
 * 0x83f00000, then guest_main(hart id). Harts other than 0 sleep until guest_harts is
 * above their number and they get a software interrupt.
 */
    .option arch, +f, +d
    .section .text.start
    .globl _start
_start:
    li      t0, 0x6000              /* FS dirty */
    csrs    mstatus, t0
    csrw    fcsr, zero
    la      t0, trap_unexpected
    csrw    mtvec, t0
    csrr    a0, mhartid
    li      sp, 0x83f00000
    slli    t0, a0, 16
    sub     sp, sp, t0
    bnez    a0, 1f
    /* .bss is zero: RAM is at start. */
    call    guest_main
    j       guest_exit_ok
1:  csrwi   mie, 8                  /* an MSI wakes, and is not taken */
    la      t0, guest_harts
2:  wfi
    lw      t1, 0(t0)
    bleu    t1, a0, 2b
    fence   rw, rw
    call    guest_main
3:  wfi
    j       3b

    /* A trap that no test asked for: say where, stop with failure. */
    .globl trap_unexpected
    .balign 4
trap_unexpected:
    csrr    a0, mcause
    csrr    a1, mepc
    csrr    a2, mtval
    call    guest_unexpected
3:  j       3b
