# SPDX-License-Identifier: Apache-2.0
"""Encodings of RV64GC for the generator of random programs."""


def r(opcode, f3, f7, rd, rs1, rs2):
    return opcode | rd << 7 | f3 << 12 | rs1 << 15 | rs2 << 20 | f7 << 25


def i(opcode, f3, rd, rs1, imm):
    return opcode | rd << 7 | f3 << 12 | rs1 << 15 | (imm & 0xFFF) << 20


def s(opcode, f3, rs1, rs2, imm):
    return opcode | (imm & 31) << 7 | f3 << 12 | rs1 << 15 | rs2 << 20 | (imm >> 5 & 127) << 25


def b(f3, rs1, rs2, imm):
    return (0x63 | (imm >> 11 & 1) << 7 | (imm >> 1 & 15) << 8 | f3 << 12 | rs1 << 15 | rs2 << 20
            | (imm >> 5 & 63) << 25 | (imm >> 12 & 1) << 31)


def u(opcode, rd, imm20):
    return opcode | rd << 7 | (imm20 & 0xFFFFF) << 12


def j(rd, imm):
    return (0x6F | rd << 7 | (imm >> 12 & 255) << 12 | (imm >> 11 & 1) << 20
            | (imm >> 1 & 1023) << 21 | (imm >> 20 & 1) << 31)


def addi(rd, rs1, imm):
    return i(0x13, 0, rd, rs1, imm)


def slli(rd, rs1, n):
    return i(0x13, 1, rd, rs1, n)


def csr(f3, rd, number, rs1):
    return i(0x73, f3, rd, rs1, number)


def amo(f5, f3, rd, rs1, rs2, aqrl=0):
    return r(0x2F, f3, f5 << 2 | aqrl, rd, rs1, rs2)


def li(rd, value):
    """The instructions that load a 64-bit constant."""
    value &= (1 << 64) - 1
    if value >> 63:
        value -= 1 << 64
    if -2048 <= value < 2048:
        return [addi(rd, 0, value)]
    low = (value & 0xFFF) - ((value & 0x800) << 1)
    if -(1 << 31) <= value < (1 << 31):
        if not (value == (1 << 31) - 1 or value >> 12 == 0x7FFFF and low < 0):
            out = [u(0x37, rd, (value - low) >> 12)]
            return out + ([i(0x1B, 0, rd, rd, low)] if low else [])
    high = (value - low) >> 12
    out = li(rd, high) + [slli(rd, rd, 12)]
    return out + ([addi(rd, rd, low)] if low else [])


# (f3, f7) of opcode 0x33 and 0x3b
OP = [(0, 0), (0, 32), (1, 0), (2, 0), (3, 0), (4, 0), (5, 0), (5, 32), (6, 0), (7, 0)]
OP_M = [(f3, 1) for f3 in range(8)]
OP_32 = [(0, 0), (0, 32), (1, 0), (5, 0), (5, 32)]
OP_32_M = [(0, 1), (4, 1), (5, 1), (6, 1), (7, 1)]
AMO_F5 = [0, 1, 4, 8, 12, 16, 20, 24, 28]

# funct5 of the OP-FP opcode with rs2 a register and f3 a rounding mode
FP_ARITH = [0x00, 0x01, 0x02, 0x03]
# (funct5, f3 values): no rounding mode
FP_F3 = [(0x04, (0, 1, 2)), (0x05, (0, 1)), (0x14, (0, 1, 2))]


# Compressed instructions. Operands of three bits name x8..x15.

def c_addi(rd, imm):
    return 1 | (imm & 31) << 2 | rd << 7 | (imm >> 5 & 1) << 12


def c_addiw(rd, imm):
    return c_addi(rd, imm) | 1 << 13


def c_li(rd, imm):
    return c_addi(rd, imm) | 2 << 13


def c_lui(rd, imm):
    return c_addi(rd, imm) | 3 << 13


def c_addi16sp(imm16):
    """imm16 * 16, -32..31"""
    return (1 | 2 << 7 | 3 << 13 | (imm16 >> 5 & 1) << 12 | (imm16 & 1) << 6 | (imm16 >> 2 & 1) << 5
            | (imm16 >> 3 & 3) << 3 | (imm16 >> 1 & 1) << 2)


def c_addi4spn(rd3, imm4):
    """imm4 * 4, 1..255"""
    return (rd3 << 2 | (imm4 & 1) << 6 | (imm4 >> 1 & 1) << 5 | (imm4 >> 2 & 3) << 11
            | (imm4 >> 4 & 15) << 7)


def c_slli(rd, n):
    return 2 | (n & 31) << 2 | rd << 7 | (n >> 5) << 12


def c_shift(kind, rd3, n):
    """kind 0 srli, 1 srai, 2 andi"""
    return 1 | (n & 31) << 2 | rd3 << 7 | kind << 10 | (n >> 5 & 1) << 12 | 4 << 13


def c_arith(kind, rd3, rs3):
    """0 sub xor or and, 4 subw addw"""
    return 1 | rs3 << 2 | (kind & 3) << 5 | rd3 << 7 | 3 << 10 | (kind >> 2) << 12 | 4 << 13


def c_mv_add(add, rd, rs2):
    return 2 | rs2 << 2 | rd << 7 | add << 12 | 4 << 13


def c_jr_jalr(link, rs1):
    return 2 | rs1 << 7 | link << 12 | 4 << 13


def c_mem_w(f3, rs3, reg3, imm4):
    """f3 2 lw, 6 sw; imm4 * 4, 0..31"""
    return (f3 << 13 | reg3 << 2 | rs3 << 7 | (imm4 & 1) << 6 | (imm4 >> 4) << 5
            | (imm4 >> 1 & 7) << 10)


def c_mem_d(f3, rs3, reg3, imm8):
    """f3 1 fld, 3 ld, 5 fsd, 7 sd; imm8 * 8, 0..31"""
    return f3 << 13 | reg3 << 2 | rs3 << 7 | (imm8 & 7) << 10 | (imm8 >> 3) << 5


def c_lwsp(rd, imm4):
    """imm4 * 4, 0..63"""
    return (2 | 2 << 13 | rd << 7 | (imm4 & 7) << 4 | (imm4 >> 3 & 1) << 12
            | (imm4 >> 4 & 3) << 2)


def c_ldsp(f3, rd, imm8):
    """f3 1 fldsp, 3 ldsp; imm8 * 8, 0..63"""
    return (2 | f3 << 13 | rd << 7 | (imm8 & 3) << 5 | (imm8 >> 2 & 1) << 12
            | (imm8 >> 3 & 7) << 2)


def c_swsp(rs2, imm4):
    return 2 | 6 << 13 | rs2 << 2 | (imm4 & 15) << 9 | (imm4 >> 4 & 3) << 7


def c_sdsp(f3, rs2, imm8):
    """f3 5 fsdsp, 7 sdsp"""
    return 2 | f3 << 13 | rs2 << 2 | (imm8 & 7) << 10 | (imm8 >> 3 & 7) << 7


def c_j(imm):
    return (1 | 5 << 13 | (imm >> 5 & 1) << 2 | (imm >> 1 & 7) << 3 | (imm >> 7 & 1) << 6
            | (imm >> 6 & 1) << 7 | (imm >> 10 & 1) << 8 | (imm >> 8 & 3) << 9
            | (imm >> 4 & 1) << 11 | (imm >> 11 & 1) << 12)


def c_beqz(ne, rs3, imm):
    return (1 | (6 + ne) << 13 | rs3 << 7 | (imm >> 5 & 1) << 2 | (imm >> 1 & 3) << 3
            | (imm >> 6 & 3) << 5 | (imm >> 3 & 3) << 10 | (imm >> 8 & 1) << 12)
