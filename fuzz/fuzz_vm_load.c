/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stream into all parts of a machine. Input: a stream without RAM. Refused: no part changes.
 * Accepted: the machine can be saved, and that is accepted too.
 */
#include <string.h>

#include "fuzz/fuzz.h"
#include "lib/wire/vm_load.h"
#include "lib/wire/vm_save.h"
#include "tests/golden/qemu_virt.h"

static void check_accepted(struct qemu_virt *m, struct vm_load *l)
{
    struct buf out = {0};
    struct ferry_err err = {0};

    vm_load_commit(l, NULL, NULL);
    FUZZ_CHECK(vm_save_stream(qemu_virt_vm(m), &out, true, NULL, NULL, &err) == 0, err.text);
    FUZZ_CHECK(vm_load_stream(l, out.data, out.len_bytes, NULL, NULL, &err) == 0, err.text);
    buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const struct qemu_virt_params params = {.pci_host = true, .rng = true};
    struct qemu_virt *m = qemu_virt_new(&params), *fresh = qemu_virt_new(&params);
    struct vm_load *l = NULL;
    struct ferry_err err = {0};
    size_t bytes;
    int r;

    FUZZ_CHECK(vm_load_new(&l, qemu_virt_vm(m), &err) == 0, err.text);
    r = vm_load_stream(l, data, n, NULL, NULL, &err);
    FUZZ_CHECK(memcmp(qemu_virt_bytes(m, &bytes), qemu_virt_bytes(fresh, &bytes), bytes) == 0,
               "changed before commit");
    FUZZ_CHECK(r == 0 || err.text[0], "refused without a word");
    if (r == 0)
        check_accepted(m, l);
    vm_load_free(l);
    qemu_virt_free(m);
    qemu_virt_free(fresh);
    return 0;
}
