// SPDX-License-Identifier: Apache-2.0
/* What Linux has found on PCI, as lspci would say it: from /sys, in the order of addresses. */
#include <dirent.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "witness.h"

#define DEVICES "/sys/bus/pci/devices"

/* A number of a device's, "0x1b36": without what only says that it is one. */
static void attribute(const char *device, const char *name, char text[32])
{
    char path[320];
    FILE *file;

    snprintf(path, sizeof(path), DEVICES "/%s/%s", device, name);
    strcpy(text, "?");
    file = fopen(path, "re");
    if (file && fscanf(file, "0x%31s", text) != 1)
        strcpy(text, "?");
    if (file)
        fclose(file);
}

static void driver_of(const char *device, char text[256])
{
    char path[320], target[256];
    ssize_t n;

    snprintf(path, sizeof(path), DEVICES "/%s/driver", device);
    n = readlink(path, target, sizeof(target) - 1);
    target[n > 0 ? n : 0] = '\0';
    strcpy(text, n > 0 ? basename(target) : "none");
}

static int not_hidden(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

void pci_say(struct witness *w, const char *argument)
{
    struct dirent **devices;
    int count;

    (void)w;
    (void)argument;
    boot_mount_sys();
    count = scandir(DEVICES, &devices, not_hidden, alphasort);
    for (int i = 0; i < count; i++) {
        char vendor[32], device[32], class[32], driver[256];

        attribute(devices[i]->d_name, "vendor", vendor);
        attribute(devices[i]->d_name, "device", device);
        attribute(devices[i]->d_name, "class", class);
        driver_of(devices[i]->d_name, driver);
        say("witness: pci %s %s:%s class=%s driver=%s", devices[i]->d_name, vendor, device, class,
            driver);
        free(devices[i]);
    }
    if (count >= 0)
        free(devices);
    say("witness: pci devices=%d", count < 0 ? 0 : count);
}
