/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/dev/types.h"

#include "vmm/dev/aclint.h"
#include "vmm/dev/fw_cfg.h"
#include "vmm/dev/goldfish_rtc.h"
#include "vmm/dev/pci/gpex.h"
#include "vmm/dev/pci/root_port.h"
#include "vmm/dev/pflash.h"
#include "vmm/dev/plic.h"
#include "vmm/dev/test_finisher.h"
#include "vmm/dev/uart16550.h"
#include "vmm/dev/vmgenid.h"

const struct dev_type *const dev_types[] = {
    &mswi_type,         &mtimer_type,         &mtimer3_type, &plic_type,      &uart16550_type,
    &goldfish_rtc_type, &test_finisher_type,  &fw_cfg_type,  &gpex_root_type, &pci_host_type,
    &pci_bus_type,      &pcie_root_port_type, &pflash_type,  &vmgenid_type,
};
const size_t dev_type_count = sizeof(dev_types) / sizeof(dev_types[0]);
