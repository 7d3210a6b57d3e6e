/* SPDX-License-Identifier: Apache-2.0 */
/* What a thread of the VM is for: said by it when it begins, so that it can be given no more than
 * that needs (vmm/sandbox). */
#pragma once

enum thread_role {
    THREAD_HART = 1, /* guest code, devices */
    THREAD_BLOCK,    /* reads and writes of one disk */
};

/* On the new thread, before it does anything. NULL where one can be given: nothing. */
typedef void thread_begin_fn(enum thread_role role);
