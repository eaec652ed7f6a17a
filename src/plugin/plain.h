/* plugin/plain.h -- finds the core module inside of a component that is nothing but a wrapping around it
 *
 *   plain:  one instance of a core module that has no start function and imports functions at most; its functions lifted with its own memory, one realloc and UTF-8; those exported, straight or through a
 *           component that only passes them on
 *   beside it:  modules that serve its imports (what wit-component makes of a guest that uses WASI: an adapter, and tables between the two). Nothing of them runs, or writes, before an import is called,
 *           but for the guest's own `_initialize`
 *
 * Such a guest can be called without the component around it (direct.h), as long as it calls none of its imports. Everything else is not plain, and that is no error.
 * The bytes have been validated by the library before, so types fit and numbers are those of what exists; still nothing here trusts them.
 */
#pragma once

#include "plugin/component.h"

/* Points into the bytes. */
struct plain {
    struct str module;                          /* a core module, in binary */
    bool asks;                                  /* it imports functions, and may call them */
    struct str memory, realloc;                 /* names of its exports */
    struct str initialize;                      /* likewise; to be called once, before everything else; empty: nothing is */
    struct str functions[COMPONENT_INTERFACES]; /* likewise; empty: the component has no such interface */
};

/* INTERFACES: those that the component exports, 1 << enum component_interface. SCRATCH has what is needed meanwhile, some 200 KiB; false, too, when it fails. */
bool plain_find(struct str bytes, unsigned interfaces, struct arena *scratch, struct plain *ret);
