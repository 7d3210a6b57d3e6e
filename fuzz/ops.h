/* SPDX-License-Identifier: Apache-2.0 */
/* Inputs that are a head and then operations of one size: what a mutator may cut where. */
#pragma once

#define OPS_AT   1u /* where they begin */
#define OP_BYTES 8u
