/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit.h"

#include <string.h>

#include "vmm/accel/riscv64/decode.h"
#include "vmm/accel/riscv64/exec.h"

static struct block nowhere;

static struct block *decode(const void *words, size_t n, uint32_t page_offset, uint32_t insns_max)
{
    static _Alignas(16) uint8_t room[BLOCK_BYTES_MAX];
    struct block *b = (struct block *)(void *)room;

    decode_block(b, words, n, page_offset, insns_max, &nowhere);
    return b;
}

static void finds_each_instruction_of_the_list(void **state)
{
    const struct insn_type *t = NULL;
    uint32_t seed = 1;
    size_t i;

    for (i = 0; (t = decode_type_at(i)); i++) {
        assert_int_equal(t->match & ~t->mask, 0);
        assert_int_equal(t->match & 3, 3);
        for (unsigned k = 0; k < 1000; k++) {
            uint32_t word = t->match | (seed & ~t->mask);
            const struct insn_type *found = decode_type(word);

            seed = seed * 1664525 + 1013904223;
            assert_non_null(found);
            /* Another one only if it is a special case that stands before. */
            assert_true(found == t || (found < t && (found->mask & t->mask) == t->mask));
        }
    }
    assert_int_equal(i, 161);
}

static void refuses_what_is_not_on_the_list(void **state)
{
    static const uint32_t words[] = {
        0x00000000,
        0xffffffff,
        0x00007003,
        0x00003067,
        0x00002063,
        0x00001007,
        0x0000202f | 5 << 27,
        0x1010202f, /* lr.w with rs2 */
        0x00000000 | 0x0b,
        0x2b,
        0x5b,
        0x7b, /* custom */
        0x0200003b | 1 << 12,
        0x40001033,
        0x04000053,
        0x5a100053,
        0x10200073 | 1 << 7,
        0x10500073 | 1 << 15,
    };

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (decode_type(words[i]))
            fail_msg("0x%08x is taken for %s", words[i], decode_type(words[i])->name);
    }
}

static void expands_compressed_instructions(void **state)
{
    static const struct {
        uint16_t c;
        uint32_t word;
    } rows[] = {
        /* clang-format off */
        {0x1fe8, 0x3fc10513}, /* c.addi4spn a0,sp,1020 */
        {0x0040, 0x00410413}, /* c.addi4spn s0,sp,4 */
        {0x3fe0, 0x0f87b407}, /* c.fld fs0,248(a5) */
        {0x5c7c, 0x07c42783}, /* c.lw a5,124(s0) */
        {0x43c0, 0x0047a403}, /* c.lw s0,4(a5) */
        {0x7ce8, 0x0f84b503}, /* c.ld a0,248(s1) */
        {0xa41c, 0x00f43427}, /* c.fsd fa5,8(s0) */
        {0xc12c, 0x04b52023}, /* c.sw a1,64(a0) */
        {0xe4fc, 0x0cf4b423}, /* c.sd a5,200(s1) */
        {0x0001, 0x00000013}, /* c.addi zero,0 */
        {0x1281, 0xfe028293}, /* c.addi t0,-32 */
        {0x02fd, 0x01f28293}, /* c.addi t0,31 */
        {0x357d, 0xfff5051b}, /* c.addiw a0,-1 */
        {0x5f81, 0xfe000f93}, /* c.li t6,-32 */
        {0x4945, 0x01100913}, /* c.li s2,17 */
        {0x7101, 0xe0010113}, /* c.addi16sp sp,-512 */
        {0x617d, 0x1f010113}, /* c.addi16sp sp,496 */
        {0x6585, 0x000015b7}, /* c.lui a1,0x1 */
        {0x75fd, 0xfffff5b7}, /* c.lui a1,0xfffff */
        {0x907d, 0x03f45413}, /* c.srli s0,0x3f */
        {0x8785, 0x4017d793}, /* c.srai a5,0x1 */
        {0x9aed, 0xffb6f693}, /* c.andi a3,-5 */
        {0x8c1d, 0x40f40433}, /* c.sub s0,a5 */
        {0x8cb9, 0x00e4c4b3}, /* c.xor s1,a4 */
        {0x8d4d, 0x00b56533}, /* c.or a0,a1 */
        {0x8e75, 0x00d67633}, /* c.and a2,a3 */
        {0x9d1d, 0x40f5053b}, /* c.subw a0,a5 */
        {0x9c25, 0x0094043b}, /* c.addw s0,s1 */
        {0x1e06, 0x021e1e13}, /* c.slli t3,0x21 */
        {0x307e, 0x1f813007}, /* c.fldsp ft0,504(sp) */
        {0x50fe, 0x0fc12083}, /* c.lwsp ra,252(sp) */
        {0x7dfe, 0x1f813d83}, /* c.ldsp s11,504(sp) */
        {0x8082, 0x00008067}, /* c.jr ra */
        {0x857e, 0x01f00533}, /* c.mv a0,t6 */
        {0x9782, 0x000780e7}, /* c.jalr a5 */
        {0x929a, 0x006282b3}, /* c.add t0,t1 */
        {0xbfee, 0x1fb13c27}, /* c.fsdsp fs11,504(sp) */
        {0xdf82, 0x0e012e23}, /* c.swsp zero,252(sp) */
        {0xe406, 0x00113423}, /* c.sdsp ra,8(sp) */
        /* clang-format on */
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(rvc_expand(rows[i].c), rows[i].word);
}

/* All of them at once: the hash was taken when each had been compared with a disassembler. */
static void expands_all_compressed_instructions(void **state)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    unsigned illegal = 0;

    for (uint32_t c = 0; c < 0x10000; c++) {
        uint32_t word;

        if ((c & 3) == 3)
            continue;
        word = rvc_expand((uint16_t)c);
        hash = (hash ^ word) * UINT64_C(0x100000001b3);
        illegal += word == 0;
        /* What is legal means something. */
        if (word)
            assert_non_null(decode_type(word));
    }
    assert_int_equal(hash, UINT64_C(0x0cfb9c4343e55a9e));
    assert_int_equal(illegal, 2409);
}

static void reads_immediates(void **state)
{
    static const struct {
        uint32_t word;
        int32_t imm;
    } rows[] = {
        {0x80000013, -2048},                           /* addi */
        {0x7ff00013, 2047},    {0x80000023, -2048},    /* sb */
        {0x7e000fa3, 2047},    {0x80000063, -4096},    /* beq */
        {0x7e000fe3, 4094},    {0x8000006f, -1048576}, /* jal */
        {0x7ffff06f, 1048574}, {0x03f01013, 63},       /* slli */
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(decode(&rows[i].word, 4, 0, 64)->insns[0].imm, rows[i].imm);
}

static void ends_blocks(void **state)
{
    uint32_t nops[70];
    const uint16_t mixed[] = {0x0001, 0x0013, 0x0000, 0xa001}; /* c.nop, nop, c.j 0 */
    const uint16_t half[] = {0x0001, 0x0013};
    struct block *b;

    for (size_t i = 0; i < 70; i++)
        nops[i] = 0x00000013;
    /* The limit. */
    b = decode(nops, sizeof(nops), 0, 64);
    assert_int_equal(b->count, 64);
    assert_int_equal(b->entries, 66);
    assert_int_equal(b->source_bytes, 256);
    assert_ptr_equal(b->insns[64].fn, op_next);
    assert_int_equal(b->insns[64].rd, 128);
    assert_ptr_equal(insn_chain(&b->insns[64])->not_taken, &nowhere);
    /* The page's end: what follows is in another page. */
    b = decode(nops, 8, 0xff8, 64);
    assert_int_equal(b->count, 2);
    assert_ptr_equal(b->insns[2].fn, op_next_far);
    /* A jump; before it both lengths. */
    b = decode(mixed, sizeof(mixed), 0, 64);
    assert_int_equal(b->count, 3);
    assert_int_equal(b->source_bytes, 8);
    assert_int_equal(b->insns[1].off, 1);
    assert_int_equal(b->insns[2].off, 3);
    assert_ptr_equal(b->insns[2].fn, op_jal);
    assert_int_equal(b->insns[2].imm, 6);
    /* Half an instruction is left for a block of its own. */
    b = decode(half, sizeof(half), 0xffc, 64);
    assert_int_equal(b->count, 1);
    assert_int_equal(b->source_bytes, 2);
    b = decode(half + 1, 2, 0xffe, 64);
    assert_int_equal(b->count, 0);
    assert_int_equal(b->source_bytes, 0);
}

/* A chain is right only inside a page. */
static void tells_near_from_far(void **state)
{
    static const struct {
        uint32_t word, page_offset;
        op_fn *fn;
    } rows[] = {
        {0x00000463, 0xff4, op_beq},     /* to the last halfwords */
        {0x00000463, 0xff8, op_beq_far}, /* beyond */
        {0xfe000ee3, 0x004, op_beq},     /* -4: to the first */
        {0xfe000ee3, 0x002, op_beq_far}, {0x0080006f, 0xff4, op_jal},
        {0x0080006f, 0xff8, op_jal_far}, {0xffdff06f, 0x002, op_jal_far},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_ptr_equal(decode(&rows[i].word, 4, rows[i].page_offset, 64)->insns[0].fn,
                         rows[i].fn);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_each_instruction_of_the_list),
        cmocka_unit_test(refuses_what_is_not_on_the_list),
        cmocka_unit_test(expands_compressed_instructions),
        cmocka_unit_test(expands_all_compressed_instructions),
        cmocka_unit_test(reads_immediates),
        cmocka_unit_test(ends_blocks),
        cmocka_unit_test(tells_near_from_far),
    };

    return cmocka_run_group_tests_name("vmm/accel/riscv64/decode", tests, NULL, NULL);
}
