/* SPDX-License-Identifier: Apache-2.0 */
/* Entering a random program and taking its traps. */
#include "diff.h"

    .macro each_x op, base
    .irp n, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30
    \op     x\n, 8*\n(\base)
    .endr
    .endm
    .macro each_f op
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    \op     f\n, 8*\n(a0)
    .endr
    .endm

    .option arch, +f, +d
    .text
    .globl run_program, load_f, save_f, m_trap, s_trap, s_trap_end

    /* run_program(ctx): mret into the program; returns when on_trap() says so. */
run_program:
    addi    sp, sp, -112
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11
    sd      s\n, 8*\n(sp)
    .endr
    sd      ra, 96(sp)
    sd      sp, 0(a0)
    csrw    mscratch, a0
    mv      x31, a0
resume:
    each_x  ld, x31
    ld      x31, 248(x31)
    mret

    .balign 4
m_trap:
    csrrw   x31, mscratch, x31
    each_x  sd, x31
    csrr    x1, mscratch
    sd      x1, 248(x31)
    csrw    mscratch, x31
    mv      a0, x31
    ld      sp, 0(x31)
    call    on_trap
    csrr    x31, mscratch
    bnez    a0, resume
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11
    ld      s\n, 8*\n(sp)
    .endr
    ld      ra, 96(sp)
    addi    sp, sp, 112
    ret

    /* Note the trap; an interrupt is disabled, a fetch fault goes on at x4, anything else skips
     * the instruction. sscratch: struct s_log. */
    .balign 4
s_trap:
    csrrw   x31, sscratch, x31
    sd      x28, 0(x31)
    sd      x29, 8(x31)
    sd      x30, 16(x31)
    ld      x30, 24(x31)
    li      x29, TRAPS_MAX
    bltu    x30, x29, 1f
    ebreak                          /* too many: the runtime ends the program */
1:  slli    x29, x30, 5
    add     x29, x29, x31
    addi    x30, x30, 1
    sd      x30, 24(x31)
    csrr    x30, scause
    sd      x30, 64(x29)
    csrr    x28, sepc
    sd      x28, 72(x29)
    csrr    x28, stval
    sd      x28, 80(x29)
    csrr    x28, sstatus
    sd      x28, 88(x29)
    bltz    x30, 5f
    li      x29, 12
    beq     x30, x29, 6f
    li      x29, 1
    bleu    x30, x29, 6f
    csrr    x28, sepc
    li      x30, 0xc0000            /* SUM, MXR */
    csrrs   x29, sstatus, x30
    lhu     x30, 0(x28)
    csrw    sstatus, x29
    andi    x30, x30, 3
    addi    x30, x30, -3
    addi    x28, x28, 2
    bnez    x30, 3f
    addi    x28, x28, 2
3:  csrw    sepc, x28
4:  ld      x28, 0(x31)
    ld      x29, 8(x31)
    ld      x30, 16(x31)
    csrrw   x31, sscratch, x31
    sret
5:  li      x29, 1
    sll     x29, x29, x30           /* the top bit of scause does not count */
    csrc    sie, x29
    j       4b
6:  csrw    sepc, x4
    j       4b
s_trap_end:

load_f:
    each_f  fld
    ret
save_f:
    each_f  fsd
    ret
