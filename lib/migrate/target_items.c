/* SPDX-License-Identifier: Apache-2.0 */
/* What comes in a target's stream, but for RAM, which is the receiver's. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/own.h"
#include "lib/chan/place.h"
#include "lib/migrate/hello.h"
#include "lib/migrate/support.h"
#include "lib/migrate/target.h"
#include "lib/wire/command.h"
#include "lib/wire/return_path.h"

/* Does the stream's header say the same as this side's VM? */
static int items_match(struct migrate_target *t)
{
    struct wire_config here;
    int r;

    if (!t->base.m.vm)
        return err_set(&t->base.m.err, EINVAL,
                       "the stream does not say what machine it needs (QEMU never does): start "
                       "this side with the machine's options");
    r = wire_config_make(&here, vm_machine_name(t->base.m.vm), &t->base.m.err);
    if (r == 0)
        r = support_config(&here, &t->capabilities, NULL, &t->base.m.err);
    if (r == 0 && t->has_uuid) {
        here.has_uuid = true;
        memcpy(here.uuid, t->uuid, sizeof(here.uuid));
    }
    return r < 0 ? r : wire_config_match(&t->config, &here, &t->base.m.err);
}

/* Everything that takes the stream, as soon as there is a VM that matches. */
static int items_ready(struct migrate_target *t)
{
    struct receiver_params params = {
        .chan = t->chan,
        .stream = t->stream,
        .guest = &t->guest,
        .notify = t->session.notify,
        .rules = {.xbzrle = !t->capabilities.mapped_ram, /* whoever sends deltas may */
                  .mapped_ram = t->capabilities.mapped_ram,
                  .ignore_shared = t->capabilities.ignore_shared},
        .mapped_channels = t->mapped_channels,
        .direct_io = t->direct_io,
        .thread = !t->no_threads,
    };
    int r = 0;

    if (!t->guest.ram)
        r = guest_ram_init(&t->guest, ferry_vm_ram(t->base.m.vm), t->capabilities.ignore_shared,
                           &t->base.m.err);
    if (r == 0)
        r = guest_ram_check_ours(&t->guest, &t->base.m.err);
    if (r == 0)
        r = vm_load_new(&t->load, t->base.m.vm, &t->base.m.err);
    if (r == 0 && t->channels) {
        struct multifd_in_params multifd = {.guest = &t->guest,
                                            .channels = t->channels,
                                            .codec = t->codec,
                                            .thread = !t->no_threads};

        if (t->has_uuid)
            memcpy(multifd.uuid, t->uuid, sizeof(multifd.uuid));
        r = multifd_in_new(&t->multifd, &multifd, &t->base.m.err);
        params.multifd = t->multifd;
        params.rules.multifd = true;
        params.rules.xbzrle = false;
    }
    if (r == 0)
        r = receiver_new(&t->receiver, &params, &t->base.m.err);
    if (r < 0)
        return r;
    guest_ram_find_backed(&t->guest);
    vm_load_begin(t->load);
    t->ready = true;
    return 0;
}

/* Is there a VM now that fits? One that was there before is compared to the end. */
static int items_agree(struct migrate_target *t, const struct hello *hello, const char *description)
{
    struct hello_side here = {
        .capabilities = hello_capabilities(&t->capabilities),
        .channels = t->channels,
        .compression = t->codec->name,
        .blocks = &t->guest.blocks,
    };
    bool was_there = t->base.m.vm != NULL;
    struct ferry_err found;
    int r = t->build ? t->build(t->opaque, description, &t->base.m.vm, &found) : 0;
    const char *found_text = r < 0 ? found.text : NULL;

    if (r < 0 && !was_there) {
        t->base.m.err = found;
        return r;
    }
    if (!t->base.m.vm)
        return 0;
    here.vm = t->base.m.vm;
    r = guest_ram_init(&t->guest, ferry_vm_ram(here.vm), t->capabilities.ignore_shared,
                       &t->base.m.err);
    return r < 0 ? r : hello_compare(hello, &here, found_text, &t->base.m.err);
}

static int items_hello(struct migrate_target *t)
{
    struct rd in = stream_in_data(t->stream);
    OWN_MEM char *description = NULL;
    struct hello hello;
    int r = hello_get(&in, stream_in_data_final(t->stream), &hello, &t->base.m.err);

    if (r < 0)
        return r;
    description = strndup(hello.description, hello.description_bytes);
    if (!description)
        return err_set(&t->base.m.err, ENOMEM, "no memory for the machine's description");
    t->dry_run = hello.dry_run;
    t->steady = hello.steady;
    t->local = t->host && !strcmp(t->host, hello.host);
    r = items_agree(t, &hello, description);
    if (r == 0)
        r = items_match(t);
    if (r == 0 && t->open)
        r = t->open(t->opaque, t->dry_run, &t->base.m.err);
    /* Of a block device nothing was known before. */
    if (r == 0 && t->base.m.vm)
        r = hello_compare_facts(&hello, t->base.m.vm, &t->base.m.err);
    if (r == 0)
        r = t->dry_run ? guest_ram_check_ours(&t->guest, &t->base.m.err) : items_ready(t);
    if (r < 0)
        return r;
    stream_in_data_used(t->stream, in.pos_bytes);
    t->greeted = true;
    target_trace(t, FERRY_MIGRATE_ACCEPTED);
    if (t->may_answer && t->asked)
        return_path_put_plain(&t->answers, WIRE_RP_FERRY_ACCEPT);
    return t->dry_run ? MOVE_EV_CHECKED : 0;
}

static int items_command(struct migrate_target *t, const struct stream_item *item)
{
    struct command c;
    int r = command_get(item->command, item->payload, &c, &t->base.m.err);

    if (r < 0)
        return r;
    switch (item->command) {
    case WIRE_CMD_OPEN_RETURN_PATH:
        if (!chan_traits(t->chan)->both_ways)
            return err_set(&t->base.m.err, EINVAL,
                           "the source wants answers, but %s goes one way: switch the capability "
                           "return-path off there",
                           chan_name(t->chan));
        t->may_answer = true;
        return 0;
    case WIRE_CMD_PING:
        if (!t->may_answer)
            return 0;
        if (c.value == WIRE_PING_FERRY && !t->asked) {
            t->asked = true;
            return_path_put_hello(&t->answers, t->version);
        }
        return_path_put_pong(&t->answers, c.value);
        if (t->answers.len_bytes - t->answered_bytes > TARGET_ANSWERS_MAX_BYTES)
            return err_set(&t->base.m.err, EPROTO, "the source asks and does not read the answers");
        return 0;
    case WIRE_CMD_SWITCHOVER_START:
        t->switchover_ns = target_now(t);
        return 0;
    default:
        return err_set(&t->base.m.err, ENOTSUP, "the command %s of the stream is not served",
                       command_name(item->command));
    }
}

/* The data of a section that is not RAM. */
static int items_section(struct migrate_target *t)
{
    const struct stream_section *section = &t->section_copy;
    int r;

    if (strcmp(section->idstr, WIRE_FERRY_IDSTR) == 0 && section->type == WIRE_SECTION_FULL) {
        if (t->greeted || t->ready)
            return err_set(&t->base.m.err, EPROTO, "ferry/hello comes too late or twice");
        r = items_hello(t);
    } else {
        struct rd in = stream_in_data(t->stream);
        int64_t begin_ns = target_now(t);

        r = vm_load_section(t->load, section, &in, stream_in_data_final(t->stream), &t->base.m.err);
        if (r == 0)
            stream_in_data_used(t->stream, in.pos_bytes);
        t->load_ns += target_now(t) - begin_ns;
    }
    if (r == -ENODATA && !stream_in_data_final(t->stream))
        return 0;
    if (r < 0)
        return r;
    stream_in_data_end(t->stream);
    t->section = NULL;
    t->base.m.again = true;
    return r;
}

static int items_section_begins(struct migrate_target *t, const struct stream_item *item)
{
    bool hello = strcmp(item->section->idstr, WIRE_FERRY_IDSTR) == 0;
    int r;

    t->section_copy = *item->section;
    t->section = &t->section_copy;
    if (!hello && !t->ready) {
        r = items_match(t);
        if (r == 0)
            r = items_ready(t);
        if (r < 0)
            return r;
    }
    if (strcmp(item->section->idstr, WIRE_RAM_IDSTR) == 0) {
        r = receiver_begin(t->receiver, &t->section_copy, &t->base.m.err);
        return r < 0 ? r : MOVE_EV_RAM;
    }
    if (item->section->type != WIRE_SECTION_FULL)
        return err_set(&t->base.m.err, EPROTO, "section '%s' does not come in pieces",
                       item->section->idstr);
    if (!hello) {
        r = vm_load_accepts(t->load, item->section, &t->base.m.err);
        if (r < 0)
            return r;
    }
    return items_section(t);
}

static int items_end_mark(struct migrate_target *t)
{
    if (!t->ready || !receiver_has_list(t->receiver))
        return err_set(&t->base.m.err, EPROTO, "the stream ends without RAM");
    if (t->multifd && multifd_in_end(t->multifd, &t->base.m.err) < 0)
        return -t->base.m.err.errnum;
    return vm_load_complete(t->load, &t->base.m.err);
}

static int items_config(struct migrate_target *t, const struct wire_config *config)
{
    bool mapped = config->capabilities & WIRE_CAP_MAPPED_RAM;

    t->config = *config;
    t->has_config = true;
    if (mapped && !chan_traits(t->chan)->seekable)
        return err_set(&t->base.m.err, EINVAL,
                       "Migration requires seekable transport (e.g. file): the source sends a "
                       "mapped-ram file, which cannot be read from %s",
                       chan_name(t->chan));
    if (t->any_file && chan_traits(t->chan)->seekable) {
        t->capabilities.mapped_ram = mapped;
        t->capabilities.multifd = false; /* how many read a file is no matter of the file's */
    }
    return 0;
}

/* A connection may be used for something else afterwards; a file is one stream and no more. */
static int items_end(struct migrate_target *t)
{
    uint64_t at, end, more = stream_in_left(t->stream);

    if (chan_traits(t->chan)->seekable) {
        if (chan_position(t->chan, &at, &t->base.m.err) < 0 ||
            chan_file_bytes(t->chan, &end, &t->base.m.err) < 0)
            return -t->base.m.err.errnum;
        more += end > at ? end - at : 0;
        if (more)
            return err_set(&t->base.m.err, EPROTO,
                           "%" PRIu64 " bytes of %s follow the end of the stream: it was not "
                           "written as one file",
                           more, chan_name(t->chan));
    }
    t->ended = true;
    return MOVE_EV_STATE;
}

int target_item(struct migrate_target *t)
{
    struct stream_item item;
    int r;

    if (t->section)
        return items_section(t);
    r = stream_in_next(t->stream, &item, &t->base.m.err);
    if (r <= 0)
        return r;
    t->base.m.again = true;
    switch (item.kind) {
    case STREAM_CONFIG:
        return items_config(t, item.config);
    case STREAM_SECTION:
        return items_section_begins(t, &item);
    case STREAM_COMMAND:
        return items_command(t, &item);
    case STREAM_EOF:
        return items_end_mark(t);
    case STREAM_DESCRIPTION:
        return 0;
    case STREAM_END:
        return items_end(t);
    case STREAM_PACKAGE_END:
        break;
    }
    return err_set(&t->base.m.err, ENOTSUP, "packages of postcopy are not served");
}
