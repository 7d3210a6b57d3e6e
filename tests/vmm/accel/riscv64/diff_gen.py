# SPDX-License-Identifier: Apache-2.0
"""
Random programs for guest/diff.c: one seed, one program, always the same.

Registers that a program never changes: x2, x8 (data window, aligned), x9 (data window, any
alignment), x4 (where to go on after a jump to nowhere), x30 (loop counter).

Left out because machines may differ: time, cycle, instret; size or address of an SC other than its
LR's; misaligned SC; a misaligned AMO that would also fault; bits of FS other than off and dirty;
bits that one implementation has and another has not (masked in CSRS); WFI that would sleep.
"""
import bisect
import random
import struct

import diff_isa as isa

CODE = 0x82000000
CODE_BYTES = 0x4000
DATA = 0x82200000
ODD = 0x300000000  # page n of the odd window of guest/diff.c
ALIAS = 0x380000000  # all of RAM again, when paging is on
TABLES = 0x82600000
MAGIC = 0x31475250
HEADER = struct.Struct('<6I7Q32Q32Q')
FLAG_VERBOSE = 1

M, S, U = 3, 1, 0
FREE = [r for r in range(32) if r not in (2, 4, 8, 9, 30)]
FREE_NOT_0 = FREE[1:]
FREE3 = [2, 3, 4, 5, 6, 7]  # x10..x15

# Nothing is there in any mode, or it is not canonical.
WILD = [0, 8, 0x800, 0x04000000, 0x04001ff8, 0x84000800, 0x90000000, 0xffffffff00000000,
        0x4000000000, 0x8000000000, 0x800000000000, 0x1000000000000, 0x8000000000000000,
        0x7ffffffffffffff0, 0xfffffffffffffff0, 0x100000000]

# number, least mode, what may be written (None: anything)
CSRS = [
    (0x001, U, None), (0x002, U, None), (0x003, U, None), (0x002, U, 7), (0x002, U, 3),
    (0x141, S, ~1), (0x142, S, None), (0x143, S, None), (0x106, S, 7), (0x104, S, 0x222),
    (0x144, S, 0x2),
    (0x341, M, ~1), (0x342, M, None), (0x343, M, None), (0x306, M, 7), (0x304, M, 0xAAA),
    (0x344, M, 0x222), (0x302, M, 0xB1F7 & ~8), (0x303, M, 0x222),
]
READABLE = [0x001, 0x002, 0x003, 0x100, 0x104, 0x105, 0x106, 0x140, 0x141, 0x142, 0x144, 0x180,
            0x300, 0x301, 0x302, 0x303, 0x304, 0x305, 0x306, 0x340, 0x341, 0x342, 0xF14]
TVALS = [0x143, 0x343]  # written only: see trap_tval() in guest/diff.c
COUNTERS = [0xC00, 0xC01, 0xC02]
ABSENT = [0x004, 0x005, 0x015, 0x040, 0x102, 0x103, 0x181, 0x200, 0x280, 0x400, 0x5C0, 0x600,
          0x680, 0x7C0, 0x800, 0x9C0, 0xA00, 0xBC0, 0xC80, 0xCC0, 0xDB0, 0xE12, 0xFC0]
# sstatus: SPIE SPP SUM MXR; mstatus adds MPIE MPRV TVM TW TSR
STATUS_S = [1 << 1, 1 << 5, 1 << 8, 1 << 18, 1 << 19]
STATUS_M = STATUS_S + [1 << 3, 1 << 7, 1 << 17, 1 << 20, 1 << 21, 1 << 22]


def illegal(rng):
    """An encoding that means nothing in RV64GC."""
    x = rng.getrandbits(32)
    rd, rs1, rs2 = x & 31, x >> 5 & 31, x >> 10 & 31
    pick = rng.randrange(14)
    if pick == 0:
        return 0xFFFFFFFF
    if pick == 1:
        return x & ~0x7F | rng.choice([0x0B, 0x2B, 0x5B, 0x7B, 0x57, 0x77, 0x6B, 0x1F, 0x3F, 0x5F])
    if pick == 2:
        return isa.r(0x33, x >> 15 & 7, rng.choice([2, 3, 8, 64, 127]), rd, rs1, rs2)
    if pick == 3:
        return isa.i(0x03, 7, rd, rs1, x >> 20)
    if pick == 4:
        return isa.s(0x23, rng.choice([4, 5, 6, 7]), rs1, rs2, x >> 20)
    if pick == 5:
        return isa.b(rng.choice([2, 3]), rs1, rs2, 8)
    if pick == 6:
        return isa.amo(rng.choice(isa.AMO_F5), rng.choice([0, 1, 4, 5, 6, 7]), rd, rs1, rs2)
    if pick == 7:
        return isa.amo(rng.choice([6, 7, 9, 13, 31]), rng.choice([2, 3]), rd, rs1, rs2)
    if pick == 8:
        return isa.r(0x53, rng.choice([0, 1, 7]), rng.randrange(32) << 2 | rng.choice([2, 3]), rd,
                     rs1, rs2)
    if pick == 9:
        return isa.r(rng.choice([0x43, 0x47, 0x4B, 0x4F]), 0, rs2 << 2 | rng.choice([2, 3]), rd, rs1,
                     rs2)
    if pick == 10:
        return isa.i(0x67, rng.randrange(1, 8), rd, rs1, x >> 20)
    if pick == 11:
        return isa.i(0x73, 4, rd, rs1, x >> 20)
    if pick == 12:
        return rng.choice([0x00200073, 0x7B200073, 0x00000073 | 1 << 7, 0x30200073 | 1 << 15,
                           0x10500073 | 1 << 7, 0x22000073, 0x62000073])
    return isa.r(0x3B, rng.choice([2, 3, 6, 7]), 0, rd, rs1, rs2)


class Program:
    """items: ints (an instruction), or (size, function(distance) -> int, target label)."""

    def __init__(self, seed):
        self.rng = rng = random.Random(seed)
        self.seed = seed
        self.items = []
        self.labels = {}
        self.pending = []  # labels to place: (after how many items, label)
        self.boundaries = []  # items that something may jump to: it does not need those before
        self.next_label = 0
        self.mode = rng.choice([M, M, S, S, U, U])
        self.vm = rng.choice([0, 8, 8, 9])
        self.in_loop = False
        self.fp_weight = rng.choice([0, 1, 4])
        self.memory_weight = rng.choice([1, 3])
        self.system_weight = rng.choice([0, 1, 3])
        self.odd_weight = rng.choice([0, 1])
        self.status_bit = rng.choice([0, 0, 0, 1 << 20, 1 << 21, 1 << 22])  # TVM TW TSR
        # With TVM the SFENCE.VMA after a change of a page table may be illegal.
        self.may_edit_ptes = self.status_bit != 1 << 20 and (self.mode != M or
                                                             not self.system_weight)

    # ---- pieces ----

    def emit(self, *words):
        self.items.extend(words)

    def label_ahead(self, most=12):
        self.next_label += 1
        self.pending.append((len(self.items) + 1 + self.rng.randrange(1, most), self.next_label))
        return self.next_label

    def rd(self):
        return self.rng.choice(FREE)

    def rs(self):
        return self.rng.randrange(32)

    def value(self):
        rng = self.rng
        how = rng.randrange(6)
        if how == 0:
            return rng.choice([0, 1, 2, (1 << 64) - 1, 1 << 63, (1 << 63) - 1, 1 << 31,
                               (1 << 31) - 1, (1 << 64) - (1 << 31), 0xFFFFFFFF])
        if how == 1:
            return rng.getrandbits(6)
        if how == 2:
            return (1 << 64) - 1 - rng.getrandbits(12)
        return rng.getrandbits(64) >> rng.randrange(64)

    def f_value(self):
        rng = self.rng
        how = rng.randrange(8)
        if how < 3:
            return 0xFFFFFFFF00000000 | rng.choice(
                [0, 1 << 31, 0x3F800000, 0x7F800000, 0xFF800000, 0x7FC00000, 0x7F800001, 1,
                 0x007FFFFF, 0x7F7FFFFF, rng.getrandbits(32),
                 0x3F000000 + rng.getrandbits(25)])
        if how < 5:
            return rng.choice([0, 1 << 63, 0x3FF << 52, 0x7FF << 52, 0xFFF << 52, 0x7FF8 << 48,
                               0x7FF0000000000001, 1, 0x7FEFFFFFFFFFFFFF, 0x41DFFFFFFFC00000])
        if how < 7:
            return rng.getrandbits(1) << 63 | (0x3FF - 32 + rng.getrandbits(6)) << 52 | (
                rng.getrandbits(52) & ~0 << rng.randrange(53))
        return rng.getrandbits(64)

    # ---- single instructions ----

    def alu(self):
        rng, rd, rs1, rs2 = self.rng, self.rd(), self.rs(), self.rs()
        how = rng.randrange(10)
        if how < 2:
            f3, f7 = rng.choice(isa.OP)
            return isa.r(0x33, f3, f7, rd, rs1, rs2)
        if how == 2:
            f3, f7 = rng.choice(isa.OP_M)
            return isa.r(0x33, f3, f7, rd, rs1, rs2)
        if how == 3:
            f3, f7 = rng.choice(isa.OP_32 + isa.OP_32_M)
            return isa.r(0x3B, f3, f7, rd, rs1, rs2)
        if how < 6:
            f3 = rng.choice([0, 2, 3, 4, 6, 7])
            return isa.i(0x13, f3, rd, rs1, rng.getrandbits(12))
        if how == 6:
            f3, top = rng.choice([(1, 0), (5, 0), (5, 0x400)])
            return isa.i(0x13, f3, rd, rs1, top | rng.getrandbits(6))
        if how == 7:
            f3, top = rng.choice([(1, 0), (5, 0), (5, 0x400)])
            return isa.i(0x1B, f3, rd, rs1, top | rng.getrandbits(5))
        if how == 8:
            return isa.i(0x1B, 0, rd, rs1, rng.getrandbits(12))
        return isa.u(rng.choice([0x37, 0x17]), rd, rng.getrandbits(20))

    def alu_c(self):
        rng, rd = self.rng, rng_not_0(self.rng)
        rd3, rs3 = rng.choice(FREE3), rng.randrange(8)
        imm = rng.randrange(-32, 32)
        how = rng.randrange(10)
        if how == 0:
            return isa.c_addi(self.rd(), imm)
        if how == 1:
            return isa.c_addiw(rd, imm)
        if how == 2:
            return isa.c_li(self.rd(), imm)
        if how == 3:
            return isa.c_lui(rd, imm or 1)
        if how == 4:
            return isa.c_addi4spn(rd3, rng.randrange(1, 256))
        if how == 5:
            return isa.c_slli(rd, rng.randrange(1, 64))
        if how == 6:
            kind = rng.randrange(3)
            return isa.c_shift(kind, rd3, imm if kind == 2 else rng.randrange(1, 64))
        if how == 7:
            return isa.c_arith(rng.randrange(6), rd3, rs3)
        return isa.c_mv_add(how & 1, rd, rng.randrange(1, 32))

    def memory(self, base=None):
        rng = self.rng
        base = base or rng.choice([2, 8, 9])
        imm = rng.choice([rng.randrange(-2048, 2048), rng.randrange(-16, 16),
                          rng.randrange(-256, 256) * 8])
        if base not in (2, 8, 9):
            imm = rng.choice([0, 0, 8, rng.randrange(-8, 9)])
        how = rng.randrange(10)
        if how < 4:
            return isa.i(0x03, rng.randrange(7), self.rd(), base, imm)
        if how < 8:
            return isa.s(0x23, rng.randrange(4), base, self.rs(), imm)
        if how == 8:
            return isa.i(0x07, rng.choice([2, 3]), self.rs(), base, imm)
        return isa.s(0x27, rng.choice([2, 3]), base, self.rs(), imm)

    def memory_c(self):
        rng = self.rng
        base3, rd3, rs3 = rng.choice([0, 1]), rng.choice(FREE3), rng.randrange(8)
        how = rng.randrange(12)
        imm = rng.randrange(32)
        return [
            lambda: isa.c_mem_w(2, base3, rd3, imm), lambda: isa.c_mem_w(6, base3, rs3, imm),
            lambda: isa.c_mem_d(3, base3, rd3, imm), lambda: isa.c_mem_d(7, base3, rs3, imm),
            lambda: isa.c_mem_d(1, base3, rs3, imm), lambda: isa.c_mem_d(5, base3, rs3, imm),
            lambda: isa.c_lwsp(rng_not_0(rng), imm), lambda: isa.c_ldsp(3, rng_not_0(rng), imm),
            lambda: isa.c_ldsp(1, self.rs(), imm), lambda: isa.c_swsp(self.rs(), imm),
            lambda: isa.c_sdsp(7, self.rs(), imm), lambda: isa.c_sdsp(5, self.rs(), imm),
        ][how]()

    def atomic(self):
        rng = self.rng
        base = rng.choice([2, 8, 9])
        return isa.amo(rng.choice([f5 for f5 in isa.AMO_F5]), rng.choice([2, 3]), self.rd(), base,
                       self.rs(), rng.randrange(4))

    def lr_sc(self):
        """x8 always W, x2 always D."""
        rng = self.rng
        base, f3 = rng.choice([(8, 2), (2, 3)])
        how = rng.randrange(4)
        if self.mode == M and self.system_weight:
            return  # under MPRV the page may not be writable, and a failing SC fault or not
        # Neither need it mark the page dirty: mark it before.
        self.emit(isa.s(0x23, rng.randrange(3), base, self.rs(), 0))
        if how != 1:
            self.emit(isa.amo(2, f3, self.rd(), base, 0, rng.randrange(4)))
        if how > 1:
            for _ in range(rng.randrange(3)):
                self.emit(self.alu())
        if how:
            self.emit(isa.amo(3, f3, self.rd(), base, self.rs(), rng.randrange(4)))

    def rm(self):
        return self.rng.choice([0, 1, 2, 3, 4, 7, 7, 7, 7, 7, 7, self.rng.randrange(8)])

    def fp(self):
        rng = self.rng
        fmt, fd, fs1, fs2 = rng.randrange(2), self.rs(), self.rs(), self.rs()
        how = rng.randrange(10)
        if how < 3:
            return isa.r(0x53, self.rm(), rng.choice(isa.FP_ARITH) << 2 | fmt, fd, fs1, fs2)
        if how == 3:
            return isa.r(rng.choice([0x43, 0x47, 0x4B, 0x4F]), self.rm(), self.rs() << 2 | fmt, fd,
                         fs1, fs2)
        if how == 4:
            return isa.r(0x53, self.rm(), 0x0B << 2 | fmt, fd, fs1, 0)
        if how == 5:
            f5, f3s = rng.choice(isa.FP_F3)
            return isa.r(0x53, rng.choice(f3s), f5 << 2 | fmt, self.rd() if f5 == 0x14 else fd, fs1,
                         fs2)
        if how == 6:
            return isa.r(0x53, self.rm(), 0x18 << 2 | fmt, self.rd(), fs1, rng.randrange(4))
        if how == 7:
            return isa.r(0x53, self.rm(), 0x1A << 2 | fmt, fd, fs1, rng.randrange(4))
        if how == 8:
            return isa.r(0x53, self.rm(), 0x08 << 2 | fmt, fd, fs1, 1 - fmt)
        if rng.randrange(2):
            return isa.r(0x53, rng.randrange(2), 0x1C << 2 | fmt, self.rd(), fs1, 0)
        return isa.r(0x53, 0, 0x1E << 2 | fmt, fd, fs1, 0)

    def csr(self):
        rng = self.rng
        how = rng.randrange(8)
        if how == 0:
            return [isa.csr(2, self.rd(), rng.choice(READABLE), 0)]
        if how == 1:
            return [isa.csr(2, 0, rng.choice(COUNTERS), 0)]
        if how == 2:
            return [isa.csr(rng.choice([1, 2, 3, 5, 6, 7]), self.rd(), rng.choice(ABSENT),
                            rng.randrange(32))]
        number, least, mask = rng.choice([c for c in CSRS if c[1] <= self.mode or rng.random() < .1])
        t = rng_not_0(rng)
        if number in TVALS:
            return isa.li(t, self.value()) + [isa.csr(1, 0, number, t)]
        if mask is None and number > 3 and rng.randrange(2):
            return [isa.csr(rng.choice([5, 6, 7]), self.rd(), number, rng.randrange(32))]
        if number <= 3 and mask is None:
            # Every frm, but seldom one that makes the rest of the program illegal.
            value = rng.getrandbits(5) | (rng.randrange(5) << 5 if number == 3 else 0)
            if number == 2:
                value = rng.randrange(5) if rng.randrange(4) else rng.randrange(8)
            return [isa.addi(t, 0, value), isa.csr(rng.choice([1, 1, 2, 3]), self.rd(), number, t)]
        value = self.value() & (mask if mask is not None else -1)
        return isa.li(t, value) + [isa.csr(rng.choice([1, 2, 3]), self.rd(), number, t)]

    # ---- several instructions with a purpose ----

    def branch(self):
        rng, label = self.rng, self.label_ahead()
        how = rng.randrange(8)
        if how < 4:
            f3, rs1, rs2 = rng.choice([0, 1, 4, 5, 6, 7]), self.rs(), self.rs()
            self.emit((4, lambda d: isa.b(f3, rs1, rs2, d), label))
        elif how == 4:
            rd = self.rd()
            self.emit((4, lambda d: isa.j(rd, d), label))
        elif how == 5:
            ne, rs3 = rng.randrange(2), rng.randrange(8)
            self.emit((2, lambda d: isa.c_beqz(ne, rs3, d), label))
        elif how == 6:
            self.emit((2, isa.c_j, label))
        else:
            t, rd, odd = rng_not_0(rng), self.rd(), rng.randrange(2)
            self.emit(isa.u(0x17, t, 0))
            if rng.randrange(2):
                self.emit((4, lambda d: isa.i(0x67, 0, rd, t, d + 4 + odd), label))
            else:
                self.emit((4, lambda d: isa.addi(t, t, d + 4), label))
                self.emit(isa.c_jr_jalr(rng.randrange(2), t))

    def here_ahead(self, t, most=12):
        """t = the address of a label ahead."""
        label = self.label_ahead(most)
        self.emit(isa.u(0x17, t, 0), (4, lambda d: isa.addi(t, t, d + 4), label))

    def odd_access(self):
        rng, t = self.rng, rng_not_0(self.rng)
        how = rng.randrange(10)
        near = rng.choice([0, 8, 16, 0x800, 0xFF0, 0xFF8, rng.randrange(0x1000)])
        if how < 5:
            page = rng.randrange(16)
            # Which fault comes first between an access and a page fault is not the same everywhere.
            where = ODD + page * 0x1000 + (near if page < 14 else 0x800)
        elif how < 7:
            page = rng.randrange(9)
            where = ODD + page * 0x200000 + rng.randrange(16) * 0x1000 + (
                near if page < 7 else 0x800)
        elif how == 7:
            where = rng.choice([0x340000000, 0x3C0000000, 0x8000000000, 0x400000000000]) + 0x800
        elif how == 8:
            where = ALIAS + DATA - 0x80000000 + rng.randrange(0x4000)
        else:
            where = rng.choice(WILD)
        self.emit(*isa.li(t, where))
        for _ in range(rng.randrange(1, 4)):
            self.emit(self.memory(base=t))
        # An access fault of an AMO is a load's on some machines: only where none can be.
        if (how < 5 and self.mode != M and self.vm and not self.system_weight and not where & 7
                and where >> 12 & 15 != 14):
            f5 = rng.choice(isa.AMO_F5 + [2])
            self.emit(isa.amo(f5, 3, rng.choice(FREE), t, 0 if f5 == 2 else self.rs()))

    def wild_jump(self):
        rng, t = self.rng, rng_not_0(self.rng)
        self.here_ahead(4, 4)
        where = rng.choice(WILD + [ODD + 0x1000, ODD + 0x2000, ODD + 0x4000, ODD + 0x5000 + 6,
                                   ODD + 0x7FFE, ODD + 0xF000 - 0x2000 + 0x800])
        self.emit(*isa.li(t, where))
        if rng.randrange(2):
            self.emit(isa.i(0x67, 0, self.rd(), t, 0))
        else:
            self.emit(isa.c_jr_jalr(rng.randrange(2), t))

    def loop(self):
        rng = self.rng
        self.emit(isa.addi(30, 0, rng.randrange(1, 6)))
        start = self.next_label = self.next_label + 1
        self.labels[start] = len(self.items)
        self.in_loop = True
        for _ in range(rng.randrange(1, 8)):
            self.step()
        self.in_loop = False
        self.emit(isa.addi(30, 30, -1))
        self.emit((4, lambda d: isa.b(4, 0, 30, d), start))  # while x30 > 0

    def self_modify(self):
        """Write an instruction a little ahead, fence.i, run it."""
        rng = self.rng
        if self.mode == M and self.system_weight:
            return  # one machine forgets MPRV for data in the page that it runs from
        t, v = rng.sample([10, 11, 12, 13, 14, 15, 16], 2)
        word = rng.choice([self.alu(), self.alu(), isa.addi(self.rd(), self.rs(), rng.getrandbits(12))])
        self.next_label += 1
        label = self.next_label
        self.emit(*isa.li(v, word))
        self.emit(isa.u(0x17, t, 0), (4, lambda d: isa.addi(t, t, d + 4), label))
        self.emit(isa.s(0x23, 1, t, v, 0), isa.i(0x13, 5, v, v, 16), isa.s(0x23, 1, t, v, 2))
        self.emit(0x0000100F)
        for _ in range(rng.randrange(3)):
            self.emit(self.alu())
        self.labels[label] = len(self.items)
        self.emit(self.alu())

    def status(self):
        rng, t = self.rng, rng_not_0(self.rng)
        if self.mode == M and rng.randrange(2):
            mask = 0
            for bit in STATUS_M:
                if rng.randrange(4) == 0:
                    mask |= bit
            number = 0x300
        else:
            mask = 0
            for bit in STATUS_S:
                if rng.randrange(3) == 0:
                    mask |= bit
            number = 0x100
        if rng.randrange(12) == 0:
            mask |= 0x6000  # FS off and on again, sooner or later
        set_it = 3 if mask & 0x6000 and rng.randrange(3) else 2 + rng.randrange(2)
        self.emit(*isa.li(t, mask), isa.csr(set_it, self.rd(), number, t))
        if mask & 0x6000:
            for _ in range(rng.randrange(1, 4)):
                self.emit(self.fp())
            self.emit(isa.u(0x37, t, 6), isa.csr(2, 0, number, t))

    def satp(self):
        rng, t = self.rng, rng_not_0(self.rng)
        mode = rng.choice([0, 8, 9, 3])
        root = TABLES >> 12 if mode == 9 else (TABLES >> 12) + 1
        value = mode << 60 | rng.choice([0, 5, 0xFFFF]) << 44 | root if mode else 0
        self.emit(*isa.li(t, value), isa.csr(1, self.rd(), 0x180, t))
        if rng.randrange(2):
            self.emit(0x12000073)

    def pte_edit(self):
        """Change a page of the odd window, sfence.vma, use it."""
        rng = self.rng
        t, v = rng.sample([10, 11, 12, 13, 14, 15, 16], 2)
        page = rng.randrange(14)
        entry = (0x82400000 + rng.randrange(4) * 0x1000) >> 12 << 10 | rng.getrandbits(10)
        self.emit(*isa.li(t, TABLES + 5 * 0x1000 + page * 8), *isa.li(v, entry))
        self.emit(isa.s(0x23, 3, t, v, 0))
        self.emit(*isa.li(t, ODD + page * 0x1000))
        self.emit(rng.choice([0x12000073, 0x12000073 | t << 15]))
        for _ in range(rng.randrange(1, 4)):
            self.emit(self.memory(base=t))

    def trap_return(self):
        rng, t = self.rng, rng_not_0(self.rng)
        from_m = self.mode == M and rng.randrange(2)
        if self.mode == M:  # some machines keep MPRV when they leave M-mode
            self.emit(isa.u(0x37, t, 0x20), isa.csr(3, 0, 0x300, t))
        if from_m:
            target = rng.choice([M, M, S, U])
            self.emit(*isa.li(t, 0x1800), isa.csr(3, 0, 0x300, t))
            self.emit(*isa.li(t, target << 11), isa.csr(2, 0, 0x300, t))
        else:
            self.emit(*isa.li(t, 0x100), isa.csr(rng.choice([2, 3]), 0, 0x100, t))
        self.here_ahead(4, 6)
        self.emit(isa.csr(1, 0, 0x341 if from_m else 0x141, 4))
        self.emit(0x30200073 if from_m else 0x10200073)

    def fence(self):
        rng = self.rng
        return rng.choice([0x0000000F | rng.getrandbits(8) << 20, 0x0000100F, 0x0FF0000F,
                           0x12000073 | rng.getrandbits(10) << 15])

    def step(self):
        rng = self.rng
        self.boundaries.append(len(self.items))
        choices = [
            (12, lambda: self.emit(self.alu())), (7, lambda: self.emit(self.alu_c())),
            (6 * self.memory_weight, lambda: self.emit(self.memory())),
            (3 * self.memory_weight, lambda: self.emit(self.memory_c())),
            (2, lambda: self.emit(self.atomic())), (1, self.lr_sc),
            (5 * self.fp_weight, lambda: self.emit(self.fp())),
            (4, self.branch), (.5, self.wild_jump),
            (.6, lambda: self.emit(illegal(rng))),
            (.3, lambda: self.emit(rng.choice([0x73, 0x100073, 0x9002, 0]))),
            (.5, lambda: self.emit(self.fence())),
            (1 + self.system_weight, lambda: self.emit(*self.csr())),
            (self.system_weight * .7, self.status),
            (self.odd_weight * 3, self.odd_access),
            (self.system_weight * .3, self.satp),
            (self.odd_weight * self.may_edit_ptes * .8, self.pte_edit),
            (self.system_weight * .3, self.trap_return),
            (.3, self.self_modify),
            (.3, lambda: self.emit(rng.choice([0x30200073, 0x10200073]) if self.mode == U else
                                   self.alu())),
            (.2, lambda: self.emit(0x10500073 if self.mode == U else self.alu())),
            (0 if self.in_loop else .6, self.loop),
            (.5, lambda: self.emit(*isa.li(rng_not_0(rng), self.value()))),
        ]
        rng.choices([c[1] for c in choices], [c[0] for c in choices])[0]()

    # ---- the whole ----

    def build(self, steps):
        for _ in range(steps):
            self.step()
        return self.assemble()

    def assemble(self):
        self.boundaries.append(len(self.items))
        for after, label in self.pending:
            after = min(after, len(self.items))
            self.labels[label] = self.boundaries[bisect.bisect_left(self.boundaries, after)]
        where, at = [], 0
        for item in self.items:
            where.append(at)
            at += item[0] if isinstance(item, tuple) else 2 if item & 3 != 3 else 4
        where.append(at)
        out = bytearray()
        for n, item in enumerate(self.items):
            if isinstance(item, tuple):
                size, encode, label = item
                word = encode(where[self.labels[label]] - where[n])
            else:
                word, size = item, 2 if item & 3 != 3 else 4
            out += (word & 0xFFFFFFFF).to_bytes(size, 'little')
        self.where = where
        return bytes(out)


def rng_not_0(rng):
    return rng.choice(FREE_NOT_0)


def make(seed, number, steps=60, flags=0, cut_bytes=None):
    """The image of one program. cut_bytes: only that much of its code."""
    p = Program(seed)
    rng = p.rng
    code = p.build(steps)
    assert len(code) < CODE_BYTES - 64, len(code)
    if cut_bytes is not None:
        code = code[:cut_bytes]
    x = [p.value() for _ in range(32)]
    x[2] = DATA + 0x1000 + 8 * rng.randrange(-32, 32)
    x[8] = DATA + 0x1000 + 4 * rng.randrange(-64, 64)
    x[30] = 0  # a branch into a loop runs it once
    x[9] = DATA + 0x1000 + rng.randrange(-256, 256)
    x[4] = CODE + len(code)
    f = [p.f_value() for _ in range(32)]
    mode = p.mode
    mstatus = mode << 11 | 0x6000 | rng.choice([0, 0, 1 << 18]) | rng.choice([0, 0, 1 << 19])
    mstatus |= p.status_bit
    mstatus |= rng.choice([0, 1 << 5]) | rng.choice([0, 1 << 7]) | rng.choice([0, 1 << 1])
    satp = p.vm << 60 | rng.choice([0, 1, 0xFFFF]) << 44 if p.vm else 0
    user = mode == U or (mode == M and rng.randrange(2))
    medeleg = rng.choice([0, 0, 0xB1F7 & ~8, rng.getrandbits(16) & 0xB1F7 & ~8])
    mideleg = rng.choice([0, 0x222, rng.getrandbits(12) & 0x222])
    mie = rng.choice([0, 0, 0x222, 0xAAA])
    fcsr = rng.getrandbits(5) | rng.choice([0, 0, 0, 1, 2, 3, 4]) << 5
    code_bytes = len(code)
    code += bytes(-code_bytes % 8)
    header = HEADER.pack(MAGIC, HEADER.size + len(code), number, flags, code_bytes, fcsr,
                         rng.getrandbits(63),
                         mstatus, satp, int(bool(user)), medeleg, mideleg, mie, *x, *f)
    return header + code, p
