/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table behind the command line: every option, and for those that have sub-options the property
 * tables these are in. For who goes through the grammar as a whole; the command line itself is
 * vmm/config/options.h.
 */
#pragma once

#include "vmm/config/keyval.h"
#include "vmm/config/options.h"
#include "vmm/config/props.h"

#define OPTION_VARIANTS_MAX 5

/* How a value with sub-options is written. */
struct option_syntax {
    const char *implied_key; /* of a first word without '='; NULL: none */
    const char *type_key;    /* its value says which variant it is; NULL: there is one */
    struct option_variant {
        const char *type;
        const struct prop *props;
        const char *what;                /* in a sentence; NULL: the type says it */
    } variants[OPTION_VARIANTS_MAX + 1]; /* ends with one without props */
    /* The same of a list that is elsewhere; NULL: variants has them. */
    struct option_variant (*variant_at)(size_t i);
    bool type_optional; /* without a type it is the first variant */
};

/* The i-th; past the last it has no props. */
struct option_variant option_variant_at(const struct option_syntax *syntax, size_t i);

struct option_def {
    const char *name;
    const char *argument;   /* NULL: a flag */
    option_apply_fn *apply; /* NULL: what the rest of the entry says, see option_apply() */
    const char *help;
    const struct option_syntax *syntax; /* NULL: the value is one word */
    enum prop_whose whose;              /* of a word or a flag; OF_HOST: of all that syntax has */
    const char *const *none;            /* words that name no file, where others do */
    const char *const *words;           /* all there are; NULL: the value is somebody's own */
    const char *(*word_at)(size_t i);   /* the same of a list that is elsewhere */
    bool is_place;                      /* a word as -serial has it: "file:PATH", "unix:PATH,..." */
    size_t offset; /* of struct vm_config: a string of its own, of a flag a bool; 0: none */
};

/* NULL past the end. */
const struct option_def *option_at(size_t i);
/* NULL and a sentence if there is none of that name. */
const struct option_def *option_find(const char *name, struct ferry_err *err);
/* What an option says of a machine. Without a function of its own: its properties are set, or its
 * one word, or its flag. value: NULL for a flag. */
int option_apply(const struct option_def *def, struct vm_config *c, const char *value,
                 struct ferry_err *err) FERRY_MUST_CHECK;
/* The properties that a value has; NULL if its type is missing or unknown. */
const struct prop *option_props(const struct option_syntax *syntax, const struct keyval *kv);

extern const struct option_syntax machine_syntax, smp_syntax, drive_syntax, blockdev_syntax,
    netdev_syntax, device_syntax, object_syntax, chardev_syntax, mon_syntax;

/* The i-th word of -accel and of -cpu; NULL past the end. */
const char *option_accel_word(size_t i);
const char *option_cpu_word(size_t i);
