// SPDX-License-Identifier: Apache-2.0
/* The kernel command line: `witness`, or knobs, `witness.NAME=VALUE`. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "witness.h"

/* Only the whole word "overwrite" switches that on which destroys what a disk has. */
enum kind { KIND_NUMBER, KIND_SIZE, KIND_SWITCH, KIND_OVERWRITE, KIND_TEXT };

struct knob {
    const char *name;
    enum kind kind;
    size_t offset;
    size_t size_bytes; /* of a text */
    const char *preset;
};

#define KNOB(NAME, KIND, MEMBER, PRESET)                                                     \
    {                                                                                        \
        NAME, KIND, offsetof(struct options, MEMBER), sizeof(((struct options *)0)->MEMBER), \
            PRESET                                                                           \
    }

static const struct knob knobs[] = {
    KNOB("checks", KIND_SWITCH, checks, "1"),
    KNOB("mem", KIND_SIZE, mem_mib, "32M"),
    KNOB("rate", KIND_SIZE, rate_mib, "16M"),
    KNOB("disk", KIND_OVERWRITE, disk, "off"),
    KNOB("disk_size", KIND_SIZE, disk_mib, "16M"),
    KNOB("disk_iops", KIND_NUMBER, disk_iops, "50"),
    KNOB("status", KIND_SWITCH, status, "1"),
    KNOB("ip", KIND_TEXT, ip, ""),
    KNOB("gw", KIND_TEXT, gateway, ""),
    KNOB("port", KIND_NUMBER, udp_port, "7777"),
    KNOB("stall", KIND_NUMBER, stall_s, "30"),
};

/* "64", "64M" or "2G"; a plain number is MiB, as with -m. */
bool parse_size_mib(const char *text, uint64_t *mib)
{
    char *end;
    uint64_t value = strtoull(text, &end, 10);

    if (end == text)
        return false;
    if (*end == 'G' || *end == 'g') {
        value *= 1024;
        end++;
    } else if (*end == 'M' || *end == 'm') {
        end++;
    }
    if (*end)
        return false;
    *mib = value;
    return true;
}

static bool set(struct options *options, const struct knob *knob, const char *value)
{
    char *member = (char *)options + knob->offset;
    uint64_t number = 0;

    if (knob->kind == KIND_TEXT) {
        if (strlen(value) >= knob->size_bytes)
            return false;
        strcpy(member, value);
        return true;
    }
    if (knob->kind == KIND_SWITCH || knob->kind == KIND_OVERWRITE) {
        bool on = knob->kind == KIND_OVERWRITE
                      ? strcmp(value, "overwrite") == 0
                      : strcmp(value, "1") == 0 || strcmp(value, "on") == 0;

        if (!on && strcmp(value, "0") != 0 && strcmp(value, "off") != 0)
            return false;
        memcpy(member, &on, sizeof(on));
        return true;
    }
    if (!parse_size_mib(value, &number))
        return false;
    memcpy(member, &number, sizeof(number));
    return true;
}

static void set_word(struct options *options, char *word)
{
    char *value = strchr(word, '=');

    if (value)
        *value++ = '\0';
    for (size_t i = 0; i < sizeof(knobs) / sizeof(knobs[0]); i++) {
        if (strcmp(word, knobs[i].name) != 0)
            continue;
        if (!set(options, &knobs[i], value ? value : "1"))
            say("witness: witness.%s cannot be '%s'", word, value ? value : "");
        return;
    }
    say("witness: there is no knob witness.%s", word);
}

void options_read(struct options *options)
{
    char line[2048] = "";
    char *rest = NULL;
    FILE *file = fopen("/proc/cmdline", "re");

    for (size_t i = 0; i < sizeof(knobs) / sizeof(knobs[0]); i++)
        set(options, &knobs[i], knobs[i].preset);
    if (!file)
        return;
    if (!fgets(line, sizeof(line), file))
        line[0] = '\0';
    for (char *word = strtok_r(line, " \n", &rest); word; word = strtok_r(NULL, " \n", &rest)) {
        bool knob = strncmp(word, "witness.", 8) == 0;

        options->wanted |= knob || strcmp(word, "witness") == 0;
        if (knob)
            set_word(options, word + 8);
    }
    fclose(file);
}
