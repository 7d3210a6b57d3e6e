/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/config/options.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/own.h"
#include "base/utf8.h"
#include "vmm/config/option_file.h"
#include "vmm/config/option_table.h"
#include "vmm/config/options_short.h"
#include "vmm/qmp/json_in.h"

int options_add(struct options *o, const char *name, const char *value, struct ferry_err *err)
{
    OWN_MEM char *name_copy = strdup(name);
    OWN_MEM char *value_copy = value ? strdup(value) : NULL;

    if (!name_copy || (value && !value_copy))
        return err_set(err, ENOMEM, "out of memory");
    if (o->count == OPTIONS_MAX)
        return err_set(err, E2BIG, "more than %d options", OPTIONS_MAX);
    o->list[o->count++] =
        (struct option){.name = TAKE_PTR(name_copy), .value = TAKE_PTR(value_copy)};
    return 0;
}

static int add_file(struct options *o, const char *path, struct ferry_err *err);

/* nested: they are a file's, and name no other file. */
static int add_words(struct options *o, int argc, const char *const argv[], bool nested,
                     struct ferry_err *err)
{
    for (int i = 0; i < argc; i++) {
        const struct option_short *brief;
        const struct option_def *def;
        const char *name = argv[i], *argument;
        int rc;

        if (*name == '@' && !nested) {
            rc = add_file(o, name + 1, err);
            if (rc < 0)
                return err_prefix(err, "options in %s", name + 1);
            continue;
        }
        if (*name != '-' || !name[1])
            return err_set(err, EINVAL, "'%s': an option beginning with '-' was expected", name);
        name += name[1] == '-' ? 2 : 1;
        brief = option_short_find(name);
        def = brief ? NULL : option_find(name, err);
        if (!brief && !def)
            return -EINVAL;
        argument = brief ? brief->argument : def->argument;
        if (argument && ++i == argc)
            return err_set(err, EINVAL, "-%s: requires an argument: %s", name, argument);
        rc = brief ? brief->expand(o, argv[i], err)
                   : options_add(o, name, argument ? argv[i] : NULL, err);
        if (rc < 0)
            return brief ? err_prefix(err, "-%s %s", name, argv[i]) : rc;
    }
    return 0;
}

static int add_file(struct options *o, const char *path, struct ferry_err *err)
{
    struct option_file file;
    int rc = option_file_read(&file, path, err);

    if (rc < 0)
        return rc;
    rc = add_words(o, file.count, file.words, true, err);
    option_file_free(&file);
    return rc;
}

int options_from_argv(struct options *o, int argc, const char *const argv[], struct ferry_err *err)
{
    return add_words(o, argc, argv, false, err);
}

/* How this process got its guest, how it began and what it may do is no property of the machine;
 * nor is what has no function, which an older target might not know. */
static bool is_of_process(const char *name)
{
    static const char *const names[] = {"incoming", "sandbox", "daemonize", "pidfile",
                                        "D",        "msg",     "boot",      "overcommit"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (!strcmp(name, names[i]))
            return true;
    return false;
}

char *options_to_json(const struct options *o)
{
    struct json_object *array = json_object_new_array();
    char *text;

    for (size_t i = 0; i < o->count; i++) {
        struct json_object *pair;

        if (is_of_process(o->list[i].name))
            continue;
        pair = json_object_new_array();

        json_object_array_add(pair, json_object_new_string(o->list[i].name));
        if (o->list[i].value)
            json_object_array_add(pair, json_object_new_string(o->list[i].value));
        json_object_array_add(array, pair);
    }
    text = strdup(json_object_to_json_string_ext(array, JSON_C_TO_STRING_PLAIN));
    json_object_put(array);
    return text;
}

static int option_from_json(struct options *o, struct json_object *pair, struct ferry_err *err)
{
    const struct option_def *def;
    struct json_object *name, *value = NULL;
    size_t len;

    if (!json_object_is_type(pair, json_type_array))
        return err_set(err, EINVAL, "machine description: an option is not a list");
    len = json_object_array_length(pair);
    name = len ? json_object_array_get_idx(pair, 0) : NULL;
    if (!json_object_is_type(name, json_type_string))
        return err_set(err, EINVAL, "machine description: an option has no name");
    def = option_find(json_object_get_string(name), err);
    if (!def)
        return err_prefix(err, "machine description");
    if (len == 2)
        value = json_object_array_get_idx(pair, 1);
    if (len != (def->argument ? 2 : 1) ||
        (def->argument && !json_object_is_type(value, json_type_string)))
        return err_set(err, EINVAL, "machine description: option -%s is malformed", def->name);
    return options_add(o, def->name, value ? json_object_get_string(value) : NULL, err);
}

int options_from_json(struct options *o, const char *text, struct ferry_err *err)
{
    struct json_object *array = NULL;
    int rc;

    if (strlen(text) > OPTIONS_JSON_BYTES_MAX)
        return err_set(err, E2BIG, "machine description: longer than %u bytes",
                       OPTIONS_JSON_BYTES_MAX);
    rc = json_in_text(text, &array, err);
    if (rc < 0)
        return err_prefix(err, "machine description");
    if (!json_object_is_type(array, json_type_array))
        rc = err_set(err, EINVAL, "machine description: a JSON list of options was expected");
    for (size_t i = 0; !rc && i < json_object_array_length(array); i++)
        rc = option_from_json(o, json_object_array_get_idx(array, i), err);
    json_object_put(array);
    if (rc < 0)
        options_free(o);
    return rc;
}

void options_remove(struct options *o, size_t index)
{
    free(o->list[index].name);
    free(o->list[index].value);
    o->count--;
    memmove(&o->list[index], &o->list[index + 1], (o->count - index) * sizeof(o->list[0]));
}

void options_cut(struct options *o, size_t count)
{
    while (o->count > count) {
        struct option *last = &o->list[--o->count];

        free(last->name);
        free(last->value);
    }
}

void options_free(struct options *o)
{
    options_cut(o, 0);
}

/* A target reads the options as JSON, which has no other bytes. */
static bool is_utf8(const char *text)
{
    const uint8_t *at = (const uint8_t *)text;
    size_t n = strlen(text);
    uint32_t code_point;

    while (n > 0)
        if (utf8_next(&at, &n, &code_point) < 0)
            return false;
    return true;
}

int config_from_options(struct vm_config *c, const struct options *o, struct ferry_err *err)
{
    int rc = 0;

    *c = (struct vm_config){.ram_bytes = 128ull << 20, .harts = 1, .force_legacy = true};
    options_choose_machine(c, o);
    for (size_t i = 0; i < o->count && !rc; i++) {
        const struct option *option = &o->list[i];
        const struct option_def *def = option_find(option->name, err);

        if (option->value && !is_utf8(option->value))
            rc = err_set(err, EILSEQ,
                         "a byte in it is no UTF-8, and a VM with that could not be updated or "
                         "moved; give what it names another name, or a link");
        else
            rc = def ? option_apply(def, c, option->value, err) : -EINVAL;
        if (rc < 0 && option->value)
            err_prefix(err, "-%s %s", option->name, option->value);
        else if (rc < 0)
            err_prefix(err, "-%s", option->name);
    }
    if (!rc)
        rc = config_default_serial(c, err);
    if (!rc)
        rc = config_check(c, err);
    if (rc < 0)
        config_free(c);
    return rc;
}
