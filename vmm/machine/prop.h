/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Property tables: which keys an option takes and which member of a struct each one sets. Plain
 * data, so that who has the properties can write them down beside what they do; what is done with a
 * table is in vmm/config/props.h.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum prop_kind {
    PROP_STRING = 1, /* char *, owned by the struct; replaces */
    PROP_PATH,       /* the same: a name in the file system, made absolute where it is given */
    PROP_BOOL,       /* bool: on/off, yes/no, true/false, y/n */
    PROP_U32,        /* uint32_t within min..max */
    PROP_INT,        /* int within min..max */
    PROP_SIZE,       /* uint64_t: bytes with K, M, G, T */
    PROP_MAC,        /* uint8_t[6]; all zero: not given */
    PROP_GUID,       /* struct config_guid: a UUID, or "auto" */
    PROP_ENUM,       /* int: index in choices, + 1 */
    PROP_FIXED,      /* nothing is stored: only the values in choices are accepted */
    PROP_IGNORED,    /* accepted: has no function here */
    PROP_ABSENT,     /* QEMU has it, ferry has not: refused, and what to do instead is said */
};

/*
 * Whose word counts when a machine comes from elsewhere (vmm/config/foreign.h)? What is not marked
 * is this host's, and a test asks for the mark.
 */
enum prop_whose {
    OF_NOBODY = 0,  /* not marked: as OF_HOST */
    OF_HOST,        /* what came is dropped, this host's default holds */
    OF_GUEST,       /* the machine that the guest sees: taken as it came */
    OF_HOST_FILE,   /* names a file: taken beneath an allowed directory, else this host's */
    OF_HOST_TAP,    /* names a TAP: taken if its name is allowed, else this host's */
    OF_HOST_OBJECT, /* names a socket, an open fd: this host's */
    OF_USE,         /* how to use what is named: goes with a name that was taken */
};

struct prop {
    const char *name;
    enum prop_kind kind;
    size_t offset;
    uint64_t min, max;
    const char *const *choices; /* NULL terminated */
    const char *instead;        /* PROP_ABSENT: a sentence's end */
    enum prop_whose whose;
    bool is_compared; /* the guest sees it: two machines that it moves between have the same */
    bool is_alias;    /* another one says the same: not written where a struct is put in words */
};
