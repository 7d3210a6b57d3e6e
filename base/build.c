/* SPDX-License-Identifier: Apache-2.0 */
#include "base/build.h"

#include <elf.h>
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <ferry/ferry.h>

#define BUILD_ID_BYTES 6 /* that are shown */

/* The linker's: where this program begins in memory. */
extern const ElfW(Ehdr) __ehdr_start __attribute__((visibility("hidden")));

static size_t note_padded(size_t n)
{
    return (n + 3) & ~(size_t)3;
}

/* In one segment of notes; NULL: not there. */
static const uint8_t *find_build_id(const uint8_t *at, size_t left)
{
    while (left >= sizeof(ElfW(Nhdr))) {
        const ElfW(Nhdr) *note = (const void *)at;
        size_t name_bytes = note_padded(note->n_namesz);
        size_t bytes = sizeof(*note) + name_bytes + note_padded(note->n_descsz);

        if (bytes > left)
            return NULL;
        if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == sizeof("GNU") &&
            !memcmp(at + sizeof(*note), "GNU", sizeof("GNU")) && note->n_descsz >= BUILD_ID_BYTES)
            return at + sizeof(*note) + name_bytes;
        at += bytes;
        left -= bytes;
    }
    return NULL;
}

static const uint8_t *build_id(void)
{
    const uint8_t *start = (const uint8_t *)&__ehdr_start;
    const ElfW(Phdr) *segments = (const void *)(start + __ehdr_start.e_phoff);
    uintptr_t moved_by = 0;
    const uint8_t *id = NULL;

    for (int i = 0; i < __ehdr_start.e_phnum; i++)
        if (segments[i].p_type == PT_LOAD && segments[i].p_offset == 0)
            moved_by = (uintptr_t)start - segments[i].p_vaddr;
    for (int i = 0; i < __ehdr_start.e_phnum && !id; i++)
        if (segments[i].p_type == PT_NOTE)
            id = find_build_id((const uint8_t *)(segments[i].p_vaddr + moved_by),
                               segments[i].p_memsz);
    return id;
}

const char *build_text(char text[static BUILD_TEXT_BYTES])
{
    const uint8_t *id = build_id();
    char digits[2 * BUILD_ID_BYTES + 1];

    for (size_t i = 0; id && i < BUILD_ID_BYTES; i++)
        snprintf(digits + 2 * i, 3, "%02x", id[i]);
    snprintf(text, BUILD_TEXT_BYTES, FERRY_VERSION " (%s)", id ? digits : "unknown");
    return text;
}
