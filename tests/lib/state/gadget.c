/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/state/gadget.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

static const struct ferry_field slot_fields[] = {
    FERRY_U16(struct slot, num, .max = 1024),
    FERRY_BOOL(struct slot, on),
    FERRY_U32_ARRAY(struct slot, addr),
};
static const struct ferry_table slot_table = {
    .name = "slot", .version = 1, .minimum_version = 1, FERRY_FIELDS(slot_fields)};

static const struct ferry_field fifo_fields[] = {
    FERRY_BYTES(struct fifo, data),
    FERRY_U32(struct fifo, head, .max = 15),
    FERRY_U32(struct fifo, num, .max = 16),
};
static int fifo_check(const void *scratch, struct ferry_err *err)
{
    const struct fifo *f = scratch;

    if (f->num == 0 && f->head != 0)
        return err_set(err, EINVAL, "an empty FIFO has no head, but %u", f->head);
    return 0;
}
static void fifo_post_load(void *obj)
{
    struct gadget *g = (struct gadget *)((char *)obj - offsetof(struct gadget, fifo));

    g->fifo_post_load_order = ++g->post_loads;
}
static const struct ferry_table fifo_table = {.name = "Fifo8",
                                              .version = 1,
                                              .minimum_version = 1,
                                              FERRY_FIELDS(fifo_fields),
                                              .check = fifo_check,
                                              .post_load = fifo_post_load};

static const struct ferry_field extra_fields[] = {
    FERRY_U32(struct gadget, extra, .min = 1, .max = 9),
    FERRY_STRUCT(struct gadget, fifo, &fifo_table),
};
static bool extra_needed(const void *obj)
{
    return ((const struct gadget *)obj)->extra != 5;
}
static const struct ferry_table extra_table = {.name = "gadget/extra",
                                               .version = 3,
                                               .minimum_version = 2,
                                               FERRY_FIELDS(extra_fields),
                                               .needed = extra_needed};

static void custom_save(const void *obj, const void *member, struct ferry_out *out)
{
    const char *text = member;

    ferry_out_u8(out, (uint8_t)strlen(text));
    ferry_out_put(out, text, strlen(text));
}
static int custom_load(const void *scratch, void *member, struct ferry_in *in,
                       struct ferry_err *err)
{
    const uint8_t *n = ferry_in_take(in, 1), *bytes;

    if (n && *n > 9)
        return err_set(err, EINVAL, "%u letters are more than 9", *n);
    bytes = n ? ferry_in_take(in, *n) : NULL;
    if (!bytes)
        return -EINVAL;
    if (memchr(bytes, 0, *n))
        return err_set(err, EINVAL, "NUL inside the text");
    memset(member, 0, 10);
    memcpy(member, bytes, *n);
    return 0;
}
static const struct ferry_custom text_custom = {custom_save, custom_load};

static bool armed(const void *obj, uint32_t version)
{
    return ((const struct gadget *)obj)->armed;
}
static const struct ferry_field gadget_fields[] = {
    FERRY_U16(struct gadget, divider),
    FERRY_U8(struct gadget, ier, .max = 0x0f),
    FERRY_BOOL(struct gadget, armed),
    FERRY_U32_EQ(struct gadget, model),
    FERRY_U32_LE(struct gadget, le, .max = 0x1000),
    FERRY_UNUSED(4),
    FERRY_U64_ARRAY(struct gadget, regs, .present = armed, .min = 2),
    FERRY_U8(struct gadget, text_len),
    FERRY_VBYTES(struct gadget, text, text_len),
    FERRY_U32(struct gadget, list_len),
    FERRY_U32_VARRAY(struct gadget, list, list_len, .max = 77),
    FERRY_STRUCT_ARRAY(struct gadget, slots, &slot_table),
    FERRY_U32(struct gadget, fresh, .since = 2),
    FERRY_CUSTOM(struct gadget, custom, &text_custom),
};
static const struct ferry_table *const gadget_subsections[] = {&extra_table, NULL};
static void gadget_pre_save(void *obj)
{
    struct gadget *g = obj;

    g->divider = (uint16_t)g->wire_copy;
}
static void gadget_pre_load(void *scratch)
{
    ((struct gadget *)scratch)->extra = 5;
}
static int gadget_check(const void *scratch, struct ferry_err *err)
{
    const struct gadget *g = scratch;

    if (g->ier == 3)
        return err_set(err, EINVAL, "enable 3 makes no sense");
    return 0;
}
static void gadget_post_load(void *obj)
{
    struct gadget *g = obj;

    g->wire_copy = g->divider;
    g->derived = g->divider * 2u;
    g->post_load_order = ++g->post_loads;
}
const struct ferry_table gadget_table = {.name = "gadget",
                                         .version = 2,
                                         .minimum_version = 1,
                                         FERRY_FIELDS(gadget_fields),
                                         .subsections = gadget_subsections,
                                         .pre_save = gadget_pre_save,
                                         .pre_load = gadget_pre_load,
                                         .check = gadget_check,
                                         .post_load = gadget_post_load};

void *make_gadget(void *arg)
{
    struct gadget *g = calloc(1, sizeof(*g));

    g->host_fd = 42;
    g->model = 0x1af4;
    g->extra = 5;
    return g;
}

void stir_gadget(void *obj)
{
    struct gadget *g = obj;

    g->wire_copy = 0x1234;
    g->ier = 5;
    g->armed = true;
    g->le = 0xabc;
    g->regs[0] = 0x0102030405060708;
    g->regs[1] = 2;
    g->regs[2] = UINT64_MAX;
    g->text_len = 3;
    memcpy(g->text, "abc", 3);
    g->list_len = 4;
    for (uint32_t i = 0; i < 4; i++)
        g->list[i] = 70 + i;
    g->slots[0] = (struct slot){8, true, {1, 2}};
    g->slots[5] = (struct slot){1024, false, {0, 9}};
    g->slots[63] = (struct slot){0, true, {0, 0}};
    g->fifo.num = 16;
    g->fifo.head = 15;
    memset(g->fifo.data, 0xee, sizeof(g->fifo.data));
    g->fresh = 7;
    g->extra = 9;
    memcpy(g->custom, "hello", 6);
}
