/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of options as text: all of them, or what one of them takes. */
#include <string.h>

#include "vmm/config/help_text.h"
#include "vmm/config/option_table.h"
#include "vmm/config/options_short.h"

#define HEAD_BYTES 32

static void print_option(FILE *to, const char *name, const char *argument, const char *help)
{
    char head[HEAD_BYTES];

    snprintf(head, sizeof(head), "-%s", name);
    help_option(to, head, argument, help);
}

void options_print_help(FILE *to)
{
    const struct option_short *brief;
    const struct option_def *def;

    for (size_t i = 0; (def = option_at(i)); i++)
        print_option(to, def->name, def->argument, def->help);
    for (size_t i = 0; (brief = option_short_at(i)); i++)
        print_option(to, brief->name, brief->argument, brief->help);
}

static const char *kind_name(enum prop_kind kind)
{
    switch (kind) {
    case PROP_BOOL:
        return "on|off";
    case PROP_U32:
    case PROP_INT:
        return "NUMBER";
    case PROP_SIZE:
        return "SIZE";
    case PROP_MAC:
        return "MAC";
    case PROP_GUID:
        return "auto|UUID";
    default:
        return "TEXT";
    }
}

static void print_props(FILE *to, const struct prop *p, const char *type_key)
{
    for (; p->name; p++) {
        if (p->kind == PROP_ABSENT || (type_key && !strcmp(p->name, type_key)))
            continue;
        fprintf(to, "  %s=", p->name);
        if (!p->choices)
            fputs(kind_name(p->kind), to);
        for (size_t i = 0; p->choices && p->choices[i]; i++)
            fprintf(to, "%s%s", i ? "|" : "", p->choices[i]);
        fputc('\n', to);
    }
}

static void print_words(FILE *to, const char *const *words)
{
    for (; *words; words++)
        fprintf(to, "  %s\n", *words);
}

/* What the first word can be; else all sub-options. */
static void print_first_words(FILE *to, const struct option_syntax *syntax)
{
    struct option_variant v = option_variant_at(syntax, 0);
    const struct prop *first =
        syntax->implied_key ? props_find(v.props, syntax->implied_key) : NULL;

    if (syntax->type_key)
        for (size_t i = 0; (v = option_variant_at(syntax, i)).props; i++)
            if (v.what)
                fprintf(to, "  %-20s %s\n", v.type, v.what);
            else
                fprintf(to, "  %s\n", v.type);
    else if (first && first->choices)
        print_words(to, first->choices);
    else
        print_props(to, v.props, NULL);
}

static bool is_help(const char *word, size_t n)
{
    return (n == 1 && *word == '?') || (n == 4 && !strncmp(word, "help", 4));
}

/* true: "help" is the value, or the word behind its last comma. */
static bool asks_for_help(const char *value, size_t *ret_type_bytes)
{
    const char *comma = strrchr(value, ',');
    const char *last = comma ? comma + 1 : value;

    *ret_type_bytes = comma ? strcspn(value, ",") : 0;
    return is_help(last, strlen(last));
}

/* The variant that has all that is asked for, if the first word does not say which. */
static bool is_meant(const struct option_syntax *syntax, const struct option_variant *v,
                     const char *type, size_t type_bytes)
{
    return !v->type || (strlen(v->type) == type_bytes && !strncmp(v->type, type, type_bytes)) ||
           (syntax->type_optional && memchr(type, '=', type_bytes));
}

static void answer(FILE *to, const struct option_def *def, const char *type, size_t type_bytes)
{
    const struct option_syntax *syntax = def->syntax;
    struct option_variant v;

    if (!type_bytes) {
        fprintf(to, "-%s %s: %s\n", def->name, def->argument, def->help);
        if (syntax)
            print_first_words(to, syntax);
        else if (def->words)
            print_words(to, def->words);
        for (size_t i = 0; def->word_at && def->word_at(i); i++)
            fprintf(to, "  %s\n", def->word_at(i));
        return;
    }
    for (size_t i = 0; syntax && (v = option_variant_at(syntax, i)).props; i++) {
        if (!is_meant(syntax, &v, type, type_bytes))
            continue;
        fprintf(to, "-%s %.*s:\n", def->name, (int)type_bytes, type);
        print_props(to, v.props, syntax->type_key);
        return;
    }
    fprintf(to, "-%s %s: %s\n", def->name, def->argument, def->help);
}

bool options_answer_help(int argc, const char *const argv[], FILE *to)
{
    for (int i = 0; i + 1 < argc; i++) {
        const struct option_short *brief;
        const struct option_def *def;
        const char *name = argv[i];
        struct ferry_err none;
        size_t type_bytes;

        if (*name != '-')
            continue;
        name += name[1] == '-' ? 2 : 1;
        brief = option_short_find(name);
        def = brief ? NULL : option_find(name, &none);
        if (!(brief ? brief->argument : def ? def->argument : NULL))
            continue;
        /* Texts of the guest's own may be what they like. */
        if (!strcmp(name, "append") || !asks_for_help(argv[++i], &type_bytes))
            continue;
        if (def)
            answer(to, def, argv[i], type_bytes);
        else
            fprintf(to, "-%s %s: %s\n", brief->name, brief->argument, brief->help);
        return true;
    }
    return false;
}
