/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The contract of a part's saved state, derived from its table.
 *
 *     static void serial_keeps_the_contract(void **state)
 *     {
 *         static const struct contract_case c = {
 *             .table = &serial_table, .obj_bytes = sizeof(struct serial),
 *             .make = make_serial, .stir = type_some_text, .destroy = free_serial,
 *         };
 *         contract_run(&c);
 *     }
 *
 * contract_run() fails the cmocka test unless
 * - the table is sound, and what was saved loads into a fresh object and saves the same again;
 * - the state cut at any byte is refused and the object unchanged;
 * - each bound, bool, counter and equality of the table, violated by one, is refused, the field
 *   named and the object unchanged; so are versions beyond the range and an unknown subsection;
 * - the description's sizes add up to the bytes written;
 * - no flipped bit crashes it, and what is accepted all the same can be saved again.
 * It only sees what the object's state contains: stir it so that every optional part is there
 * (several cases if they exclude each other).
 */
#pragma once

#include <stddef.h>

#include <ferry/state.h>

struct contract_case {
    const struct ferry_table *table;
    size_t obj_bytes;
    void *(*make)(void *arg);   /* a new object as after power on; never NULL */
    void (*stir)(void *obj);    /* make it busy and all its optional state present; may be NULL */
    void (*destroy)(void *obj); /* NULL: free() */
    void *arg;
};

void contract_run(const struct contract_case *c);

/*
 * For a part's own check: the state of an object that `spoil` has made senseless must be refused
 * with a sentence that contains `text`, and the loading object be unchanged.
 */
void contract_refuses(const struct contract_case *c, void (*spoil)(void *obj), const char *text);
