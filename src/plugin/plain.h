/* plugin/plain.h -- finds the core module inside of a component that is nothing but a wrapping around it
 *
 *   plain:  one core module that imports nothing and has no start function, instantiated once; its functions lifted with one memory, one realloc and UTF-8; those exported, straight or through a component that only
 *           passes them on (what wit-component makes of a guest without imports)
 *
 * Such a guest can be called without the component around it (direct.h): there is nothing in the wrapping that could run. Everything else is not plain, and that is no error.
 * The bytes have been validated by the library before, so types fit and numbers are those of what exists; still nothing here trusts them.
 */
#pragma once

#include "plugin/component.h"

/* Points into the bytes. */
struct plain {
    struct str module;                          /* a core module, in binary */
    struct str memory, realloc;                 /* names of its exports */
    struct str functions[COMPONENT_INTERFACES]; /* likewise; empty: the component has no such interface */
};

/* INTERFACES: those that the component exports, 1 << enum component_interface. */
bool plain_find(struct str bytes, unsigned interfaces, struct plain *ret);
