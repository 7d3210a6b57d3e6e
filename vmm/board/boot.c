/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/board/boot.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "vmm/backend/allow.h"
#include "vmm/board/image.h"
#include "vmm/board/type.h"
#include "vmm/machine/machine_type.h"

struct boot {
    const struct vm_config *config;
    const struct boot_type *type;
    bool wanted[BOOT_IMAGES];
    struct image images[BOOT_IMAGES];
};

static const char *const boot_image_names[BOOT_IMAGES] = {"firmware", "kernel", "initrd"};

int boot_new(struct boot **ret, const struct vm_config *config, struct ferry_err *err)
{
    struct boot *b;

    if (config->bios && !strcmp(config->bios, "none") && !config->kernel)
        return err_set(err, EINVAL, "with -bios none and no -kernel there is nothing to run");
    b = calloc(1, sizeof(*b));
    if (!b)
        return err_set(err, ENOMEM, "no memory for boot images");
    b->config = config;
    b->type = &config->machine->board->boot;
    b->wanted[BOOT_FIRMWARE] = !config->bios || strcmp(config->bios, "none") != 0;
    b->wanted[BOOT_KERNEL] = config->kernel != NULL;
    b->wanted[BOOT_INITRD] = config->initrd != NULL;
    for (int i = 0; i < BOOT_IMAGES; i++)
        b->images[i] = (struct image){.what = boot_image_names[i], .type = b->type, .fd = -1};
    b->images[BOOT_KERNEL].kernel = true;
    *ret = b;
    return 0;
}

void boot_free(struct boot *b)
{
    if (!b)
        return;
    for (int i = 0; i < BOOT_IMAGES; i++)
        image_close(&b->images[i]);
    free(b);
}

static int boot_firmware_path(const struct boot *b, const char **ret, struct ferry_err *err)
{
    const char *const *paths = b->type->firmware;

    if (b->config->bios && strcmp(b->config->bios, "default") != 0) {
        *ret = b->config->bios;
        return 0;
    }
    for (size_t i = 0; paths[i]; i++) {
        if (access(paths[i], R_OK) == 0) {
            *ret = paths[i];
            return 0;
        }
    }
    return err_set(err, ENOENT,
                   "there is no firmware at %s; install the package %s, or name a file with -bios",
                   paths[0], b->type->firmware_package);
}

/* The files that are wanted, NULL for the others; and says through what each is opened. */
static int boot_paths(struct boot *b, const char *ret[BOOT_IMAGES], struct ferry_err *err)
{
    int rc = 0;

    ret[BOOT_FIRMWARE] = NULL;
    ret[BOOT_KERNEL] = b->config->kernel;
    ret[BOOT_INITRD] = b->config->initrd;
    if (b->wanted[BOOT_FIRMWARE])
        rc = boot_firmware_path(b, &ret[BOOT_FIRMWARE], err);
    for (int i = 0; i < BOOT_IMAGES; i++)
        b->images[i].allow = b->config->allow;
    /* The default is no name that anybody gave. */
    if (ret[BOOT_FIRMWARE] != b->config->bios)
        b->images[BOOT_FIRMWARE].allow = NULL;
    return rc;
}

int boot_open(struct boot *b, struct ferry_err *err)
{
    const char *paths[BOOT_IMAGES];
    int rc = boot_paths(b, paths, err);

    for (int i = 0; i < BOOT_IMAGES && !rc; i++)
        if (b->wanted[i])
            rc = image_read(&b->images[i], paths[i], b->config->ram_bytes, err);
    return rc;
}

int boot_look(struct boot *b, struct ferry_err *err)
{
    const char *paths[BOOT_IMAGES];
    int rc = boot_paths(b, paths, err);

    for (int i = 0; i < BOOT_IMAGES && !rc; i++) {
        int missing = b->wanted[i] ? allow_access(b->images[i].allow, paths[i], R_OK) : 0;

        if (missing < 0)
            rc = err_sys(err, -missing, "%s \"%s\"%s", b->images[i].what, paths[i],
                         allow_hint(-missing));
    }
    return rc;
}

const struct vm_config *boot_config(const struct boot *b)
{
    return b->config;
}

const struct image *boot_image(const struct boot *b, enum boot_image which)
{
    return b->wanted[which] ? &b->images[which] : NULL;
}

int boot_place(const struct boot *b, const struct guestmem *mem, struct ferry_err *err)
{
    return b->type->place(b, mem, err);
}

/* --- Part ----------------------------------------------------------------------------------- */

static void boot_fd_name(char ret[FERRY_FD_NAME_BYTES], int image)
{
    snprintf(ret, FERRY_FD_NAME_BYTES, "boot/%s", boot_image_names[image]);
}

static int boot_fd_at(void *obj, size_t index, struct ferry_named_fd *ret)
{
    const struct boot *b = obj;

    for (int i = 0; i < BOOT_IMAGES; i++) {
        if (!b->wanted[i] || index-- != 0)
            continue;
        boot_fd_name(ret->name, i);
        ret->fd = b->images[i].fd;
        return 0;
    }
    return -ENOENT;
}

static int boot_adopt(void *obj, const char *name, int *fd, struct ferry_err *err)
{
    struct boot *b = obj;

    for (int i = 0; i < BOOT_IMAGES; i++) {
        char expected[FERRY_FD_NAME_BYTES];

        boot_fd_name(expected, i);
        if (b->wanted[i] && !strcmp(name, expected))
            return image_adopt(&b->images[i], fd, b->config->ram_bytes, err);
    }
    return err_set(err, ENOENT, "this machine has no boot image \"%s\"", name);
}

static const struct ferry_part_ops boot_part_ops = {.fd_at = boot_fd_at, .adopt = boot_adopt};

struct ferry_part boot_part(struct boot *b)
{
    return (struct ferry_part){.idstr = "boot", .ops = &boot_part_ops, .obj = b};
}
