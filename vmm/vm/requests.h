/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What somebody asked of the whole machine (reset, power-off) and the main thread has not done yet.
 * A request that is pending when the VM is handed over goes with it: section "ferry/requests",
 * sent only then.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <ferry/part.h>

struct requests {
    pthread_mutex_t mutex;
    uint8_t reset_cause;    /* enum shutdown_cause; 0 = none */
    uint8_t shutdown_cause; /* the same */
    uint32_t exit_status;
};

struct ferry_part requests_part(struct requests *r);
