/* SPDX-License-Identifier: Apache-2.0 */
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "vmm/main/cmd_client.h"
#include "vmm/main/report.h"

#define UPTIME_BYTES 32

/* "3 d 02:03:04" */
static const char *uptime_text(char ret[UPTIME_BYTES], struct json_object *report)
{
    long long s = client_number(report, "uptime-s");
    int n = s >= 86400 ? snprintf(ret, UPTIME_BYTES, "%lld d ", s / 86400) : 0;

    snprintf(ret + n, UPTIME_BYTES - (size_t)n, "%02d:%02d:%02d", (int)(s / 3600 % 24),
             (int)(s / 60 % 60), (int)(s % 60));
    return ret;
}

/* What runs it, and whether that is what would be started today. */
static void print_program(struct json_object *report)
{
    char uptime[UPTIME_BYTES];

    if (!client_number(report, "vmm-pid"))
        return; /* a ferry that does not tell */
    printf("pid        %lld (VMM: %lld)\n", client_number(report, "pid"),
           client_number(report, "vmm-pid"));
    printf("uptime     %s\n", uptime_text(uptime, report));
    printf("build      %s\n", client_text(report, "build"));
    if (*client_text(report, "binary"))
        printf("binary     %s%s\n", client_text(report, "binary"),
               client_flag(report, "binary-deleted")
                   ? " (deleted; 'ferry update' starts what is there now)"
                   : "");
}

static void print_socket(struct json_object *socket)
{
    struct json_object *connected = NULL;

    printf("socket     %s: %s%s\n", client_text(socket, "id"), client_text(socket, "where"),
           json_object_object_get_ex(socket, "connected", &connected)
               ? json_object_get_boolean(connected) ? ", connected" : ", nobody is connected"
               : "");
}

static void print_disk(struct json_object *disk)
{
    const char *io = client_text(disk, "io-status");

    printf("disk       %s: %s%s%s%s\n", client_text(disk, "id"), client_text(disk, "file"),
           client_flag(disk, "read-only") ? ", read-only" : "", *io ? ", io-status " : "", io);
}

/* "netdev     n0: stream /tmp/p.sock, not connected for 7 s, again every 1000 ms; link down" */
static void print_netdev(struct json_object *n)
{
    long long seconds = client_number(n, "seconds"), again_ms = client_number(n, "reconnect-ms");
    struct json_object *value;
    bool connected = client_flag(n, "connected");

    printf("netdev     %s: %s %s, %sconnected", client_text(n, "id"), client_text(n, "type"),
           client_text(n, "where"), connected ? "" : "not ");
    if (json_object_object_get_ex(n, "seconds", &value))
        printf(" for %lld s", seconds);
    if (!connected && again_ms)
        printf(", tried every %lld ms", again_ms);
    printf("; link %s%s\n", client_flag(n, "link-up") ? "up" : "down",
           client_flag(n, "link-set-off") ? " (set_link)" : "");
}

static void print_each(struct json_object *report, const char *name,
                       void (*print)(struct json_object *))
{
    struct json_object *list = NULL;

    json_object_object_get_ex(report, name, &list);
    for (size_t i = 0; i < client_length(list); i++)
        print(json_object_array_get_idx(list, i));
}

static double milliseconds(long long ns)
{
    return (double)ns / 1e6;
}

static void print_update(struct json_object *report)
{
    if (*client_text(report, "last-update.to"))
        printf("updated    %s, %s -> %s, paused for %.1f ms\n",
               client_text(report, "last-update.when"), client_text(report, "last-update.from"),
               client_text(report, "last-update.to"),
               milliseconds(client_number(report, "last-update.pause-ns")));
}

static void print_migration(struct json_object *report)
{
    long long pause_ns = client_number(report, "migration.pause-ns");

    if (!*client_text(report, "migration.status"))
        return;
    printf("%-10s %s", client_text(report, "migration.what"),
           client_text(report, "migration.status"));
    if (pause_ns)
        printf(", paused for %.1f ms", milliseconds(pause_ns));
    if (client_number(report, "migration.total-ms"))
        printf(", %lld MiB sent, %lld left, in %.1f s",
               client_number(report, "migration.transferred-bytes") >> 20,
               client_number(report, "migration.remaining-bytes") >> 20,
               (double)client_number(report, "migration.total-ms") / 1e3);
    putchar('\n');
    if (*client_text(report, "migration.error"))
        printf("           %s\n", client_text(report, "migration.error"));
}

void report_print(struct json_object *report)
{
    printf("name       %s\n", client_text(report, "name"));
    printf("status     %s\n", client_text(report, "status"));
    printf("harts      %lld\n", client_number(report, "harts"));
    printf("memory     %lld MiB\n", client_number(report, "memory-bytes") >> 20);
    print_program(report);
    print_each(report, "sockets", print_socket);
    print_each(report, "disks", print_disk);
    print_each(report, "netdevs", print_netdev);
    print_update(report);
    print_migration(report);
}

void report_print_line(struct json_object *report)
{
    char uptime[UPTIME_BYTES];

    printf("%-24s %-12s", client_text(report, "name"), client_text(report, "status"));
    if (client_number(report, "pid"))
        printf(" pid %-8lld up %-12s %s", client_number(report, "pid"), uptime_text(uptime, report),
               client_text(report, "build"));
    putchar('\n');
}
