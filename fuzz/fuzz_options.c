/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a machine is described with. Input: one byte that says how, then text: a whole description
 * in JSON, as a peer sends it, or the value of one option. Nothing is opened by reading either; a
 * description that was accepted is written and read as the same again.
 */
#include <string.h>
#include <unistd.h>

#include "fuzz/fuzz.h"
#include "vmm/config/options.h"

static const char *const names[] = {
    "M",       "accel", "cpu",      "smp",    "m",      "object",   "bios",
    "append",  "drive", "blockdev", "netdev", "device", "chardev",  "serial",
    "monitor", "qmp",   "mon",      "name",   "global", "incoming",
};

static int lowest_free_fd(void)
{
    int fd = dup(STDERR_FILENO);

    close(fd);
    return fd;
}

static void configure(const struct options *o)
{
    struct vm_config c;
    struct ferry_err err = {0};

    if (config_from_options(&c, o, &err) == 0)
        config_free(&c);
    else
        FUZZ_CHECK(err.text[0], "a refusal without a sentence");
}

static void describe(const char *text)
{
    struct options o = {0}, again = {0};
    struct ferry_err err = {0};
    char *written, *rewritten;

    if (options_from_json(&o, text, &err) < 0) {
        FUZZ_CHECK(err.text[0] && o.count == 0, "refused halfway");
        return;
    }
    written = options_to_json(&o);
    FUZZ_CHECK(written && options_from_json(&again, written, &err) == 0, err.text);
    rewritten = options_to_json(&again);
    FUZZ_CHECK(!strcmp(written, rewritten), "what is written is read as the same");
    free(written);
    free(rewritten);
    configure(&o);
    options_free(&o);
    options_free(&again);
}

static void apply(const char *name, const char *value)
{
    struct options o = {0};
    struct ferry_err err;

    if (options_add(&o, name, value, &err) == 0)
        configure(&o);
    options_free(&o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    int before = lowest_free_fd();
    char *text;

    if (n < 1)
        return 0;
    text = malloc(n);
    FUZZ_CHECK(text, "no memory");
    memcpy(text, data + 1, n - 1);
    text[n - 1] = 0;
    if (data[0] >= sizeof(names) / sizeof(names[0]))
        describe(text);
    else
        apply(names[data[0]], text);
    free(text);
    FUZZ_CHECK(lowest_free_fd() == before, "something was opened");
    return 0;
}
