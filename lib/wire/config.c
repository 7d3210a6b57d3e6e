/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/wire/config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/text.h"

#define UUID_TEXT_BYTES 37

static const char *const capability_names[WIRE_CAP_COUNT] = {"x-ignore-shared", "mapped-ram"};

/* --- A list of names on the wire that is one word in memory --- */

static void capabilities_save(const void *obj, const void *member, struct ferry_out *out)
{
    const uint32_t *capabilities = member;

    for (unsigned i = 0; i < WIRE_CAP_COUNT; i++) {
        if (!(*capabilities & (1u << i)))
            continue;
        ferry_out_u8(out, (uint8_t)strlen(capability_names[i]));
        ferry_out_put(out, capability_names[i], strlen(capability_names[i]));
    }
}

static int capability_load(uint32_t *capabilities, struct ferry_in *in, struct ferry_err *err)
{
    const uint8_t *n = ferry_in_take(in, 1);
    const uint8_t *name = n ? ferry_in_take(in, *n) : NULL;
    char text[TEXT_NAME_BYTES];

    if (!name)
        return -EINVAL;
    for (unsigned i = 0; i < WIRE_CAP_COUNT; i++) {
        if (strlen(capability_names[i]) != *n || memcmp(capability_names[i], name, *n) != 0)
            continue;
        if (*capabilities & (1u << i))
            return err_set(err, EINVAL, "%s is listed twice", capability_names[i]);
        *capabilities |= 1u << i;
        return 0;
    }
    return err_set(err, EINVAL, "\"%s\" is unknown; known are %s and %s", text_name(text, name, *n),
                   capability_names[0], capability_names[1]);
}

static int capabilities_load(const void *scratch, void *member, struct ferry_in *in,
                             struct ferry_err *err)
{
    const struct wire_config *c = scratch;
    int r = 0;

    *(uint32_t *)member = 0;
    for (uint32_t i = 0; i < c->capability_count && r == 0; i++)
        r = capability_load(member, in, err);
    return r;
}
static const struct ferry_custom capabilities_custom = {capabilities_save, capabilities_load};

/* --- Tables --- */

static void capabilities_pre_save(void *obj)
{
    struct wire_config *c = obj;

    c->capability_count = (uint32_t)__builtin_popcount(c->capabilities);
}

static bool capabilities_needed(const void *obj)
{
    return ((const struct wire_config *)obj)->capabilities != 0;
}

static const struct ferry_field capabilities_fields[] = {
    FERRY_U32(struct wire_config, capability_count, .max = WIRE_CAP_COUNT,
              .wire_name = "caps_count"),
    FERRY_CUSTOM(struct wire_config, capabilities, &capabilities_custom, .type_name = "capability"),
};
static const struct ferry_table capabilities_table = {
    .name = "configuration/capabilities",
    .version = 1,
    .minimum_version = 1,
    FERRY_FIELDS(capabilities_fields),
    .needed = capabilities_needed,
    .pre_save = capabilities_pre_save,
};

static bool page_bits_needed(const void *obj)
{
    return ((const struct wire_config *)obj)->page_bits != 0;
}

static const struct ferry_field page_bits_fields[] = {
    FERRY_U32(struct wire_config, page_bits, .min = 1, .max = 32, .wire_name = "target-page-bits"),
};
static const struct ferry_table page_bits_table = {
    .name = "configuration/target-page-bits",
    .version = 1,
    .minimum_version = 1,
    FERRY_FIELDS(page_bits_fields),
    .needed = page_bits_needed,
};

static bool uuid_needed(const void *obj)
{
    return ((const struct wire_config *)obj)->has_uuid;
}

/* That the subsection was there is all that says so. */
static void uuid_post_load(void *obj)
{
    ((struct wire_config *)obj)->has_uuid = true;
}

static const struct ferry_field uuid_fields[] = {
    FERRY_BYTES(struct wire_config, uuid),
};
static const struct ferry_table uuid_table = {
    .name = "configuration/uuid",
    .version = 1,
    .minimum_version = 1,
    FERRY_FIELDS(uuid_fields),
    .needed = uuid_needed,
    .post_load = uuid_post_load,
};

static int config_check(const void *scratch, struct ferry_err *err)
{
    const struct wire_config *c = scratch;

    if (memchr(c->machine, 0, c->machine_bytes))
        return err_set(err, EINVAL, "the machine's name has a NUL inside");
    return 0;
}

static const struct ferry_table *const config_subsections[] = {
    &page_bits_table,
    &capabilities_table,
    &uuid_table,
    NULL,
};
static const struct ferry_field config_fields[] = {
    FERRY_U32(struct wire_config, machine_bytes, .min = 1, .max = WIRE_MACHINE_MAX_BYTES,
              .wire_name = "len"),
    FERRY_VBYTES(struct wire_config, machine, machine_bytes, .wire_name = "name"),
};
const struct ferry_table wire_config_table = {
    .name = "configuration",
    .version = WIRE_CONFIGURATION_VERSION,
    .minimum_version = WIRE_CONFIGURATION_VERSION,
    FERRY_FIELDS(config_fields),
    .subsections = config_subsections,
    .check = config_check,
};

/* --- Values --- */

int wire_config_make(struct wire_config *ret, const char *machine, struct ferry_err *err)
{
    size_t n = strlen(machine);

    if (n == 0 || n > WIRE_MACHINE_MAX_BYTES)
        return err_set(err, EINVAL, "machine name has %zu bytes, it needs 1 to %u", n,
                       WIRE_MACHINE_MAX_BYTES);
    *ret = (struct wire_config){.machine_bytes = (uint32_t)n};
    memcpy(ret->machine, machine, n);
    return 0;
}

static int match_capabilities(uint32_t theirs, uint32_t here, struct ferry_err *err)
{
    for (unsigned i = 0; i < WIRE_CAP_COUNT; i++) {
        uint32_t bit = 1u << i;

        if ((theirs & bit) != (here & bit))
            return err_set(
                err, EINVAL, "capability %s is %s at the sender and %s here; set it alike",
                capability_names[i], theirs & bit ? "on" : "off", here & bit ? "on" : "off");
    }
    return 0;
}

/* As people write it. */
static void uuid_text(char text[static UUID_TEXT_BYTES], const uint8_t uuid[WIRE_UUID_BYTES])
{
    for (size_t i = 0, at = 0; i < WIRE_UUID_BYTES; i++)
        at += (size_t)sprintf(text + at, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x",
                              uuid[i]);
}

int wire_config_match(const struct wire_config *theirs, const struct wire_config *here,
                      struct ferry_err *err)
{
    uint32_t their_bits = theirs->page_bits ? theirs->page_bits : WIRE_PAGE_BITS;
    uint32_t bits = here->page_bits ? here->page_bits : WIRE_PAGE_BITS;
    char them[TEXT_NAME_BYTES], us[TEXT_NAME_BYTES];

    if (theirs->machine_bytes != here->machine_bytes ||
        memcmp(theirs->machine, here->machine, here->machine_bytes) != 0)
        return err_set(err, EINVAL, "the stream is of machine \"%s\", this is \"%s\"",
                       text_name(them, theirs->machine, theirs->machine_bytes),
                       text_name(us, here->machine, here->machine_bytes));
    if (their_bits != bits)
        return err_set(err, EINVAL, "the stream has pages of 2^%u bytes, here they have 2^%u",
                       their_bits, bits);
    if (theirs->has_uuid && here->has_uuid &&
        memcmp(theirs->uuid, here->uuid, sizeof(here->uuid)) != 0) {
        char theirs_text[UUID_TEXT_BYTES], our_text[UUID_TEXT_BYTES];

        uuid_text(theirs_text, theirs->uuid);
        uuid_text(our_text, here->uuid);
        return err_set(err, EINVAL,
                       "the stream is of a VM with another UUID, %s; that of this one is %s",
                       theirs_text, our_text);
    }
    return match_capabilities(theirs->capabilities, here->capabilities, err);
}
