/* plugin/wasmtime.h -- what we use of wasmtime's C API, declared by ourselves and found with dlsym
 *
 * The gateway is built without wasmtime's headers and starts without its library. So the few functions and structures that it calls are written down here, from the public documentation of the API,
 * and every call goes through a table of pointers, which library.c fills.
 * The structures that cross the border by value have had the same size and layout from version 39 on (spec wasm-plugins 7.1); the asserts below keep ours that way.
 * Of the value model of components we use two kinds, a string and a 32-bit number: bytes travel in strings (bridge.h says how), because a list<u8> would cost 32 bytes per byte.
 * Core modules are called without a check of types at each call (wasmtime_func_call_unchecked): direct.c looks at them once.
 * A string that is handed to the library must be valid UTF-8: the library ends the process on one that is not.
 * Errors: a function that returns a wasmtime_error gives it away; NULL is success. runtime.c turns one into a struct err.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct wasmtime_opaque_config wasmtime_config;
typedef struct wasmtime_opaque_pooling wasmtime_pooling;
typedef struct wasmtime_opaque_engine wasmtime_engine;
typedef struct wasmtime_opaque_store wasmtime_store;
typedef struct wasmtime_opaque_context wasmtime_context;
typedef struct wasmtime_opaque_error wasmtime_error;
typedef struct wasmtime_opaque_component wasmtime_component;
typedef struct wasmtime_opaque_linker wasmtime_linker;
typedef struct wasmtime_opaque_linker_instance wasmtime_linker_instance;
typedef struct wasmtime_opaque_func_type wasmtime_func_type;
typedef struct wasmtime_opaque_export wasmtime_export;
typedef struct wasmtime_opaque_wasi wasmtime_wasi;
typedef struct wasmtime_opaque_future wasmtime_future;
typedef struct wasmtime_opaque_core wasmtime_core; /* a core module; wasmtime_module_t */
typedef struct wasmtime_opaque_core_linker wasmtime_core_linker;
typedef struct wasmtime_opaque_core_pre
    wasmtime_core_pre; /* a core module whose imports have been found; wasmtime_instance_pre_t */
typedef struct wasmtime_opaque_core_type wasmtime_core_type; /* of a core function; wasm_functype_t */
typedef struct wasmtime_opaque_value_type wasmtime_value_type;
typedef struct wasmtime_opaque_trap wasmtime_trap;

/* Bytes of the library's own heap: made by wasm_byte_vec_new, freed by wasm_byte_vec_delete. */
struct wasmtime_bytes {
    size_t n;
    char *p;
};

enum wasmtime_kind { WASMTIME_U32 = 6, WASMTIME_U64 = 8, WASMTIME_STRING = 12 };

struct wasmtime_val {
    uint8_t kind; /* enum wasmtime_kind */
    union {
        uint32_t u32;
        uint64_t u64;
        struct wasmtime_bytes string;
        uint64_t room[3]; /* the largest of the kinds that we do not use */
    } of;
};

struct wasmtime_func {
    uint64_t room[3];
};

struct wasmtime_instance {
    uint64_t room[2];
};

/* Of core modules. */
struct wasmtime_core_instance {
    uint64_t room[2];
};

struct wasmtime_core_func {
    uint64_t room[2];
};

struct wasmtime_memory {
    uint64_t room[3];
};

enum wasmtime_extern_kind { WASMTIME_FUNC = 0, WASMTIME_MEMORY = 3 };

/* What an instance exports. Functions and memories own nothing. */
struct wasmtime_extern {
    uint8_t kind; /* enum wasmtime_extern_kind */
    union {
        struct wasmtime_core_func func;
        struct wasmtime_memory memory;
        uint64_t room[3]; /* the largest of the kinds that we do not use */
    } of;
};

enum wasmtime_value_kind { WASMTIME_I32, WASMTIME_I64 };

/* An argument or result of a call that is not checked; what is not used of it is zero. */
union wasmtime_raw {
    uint32_t i32;
    uint64_t i64;
    uint64_t room[2];
};

/* Types, owned by what they were asked of. */
struct wasmtime_value_types {
    size_t n;
    wasmtime_value_type **v;
};

_Static_assert(sizeof(struct wasmtime_val) == 32 && offsetof(struct wasmtime_val, of) == 8,
               "a component value of wasmtime's C API");
_Static_assert(sizeof(struct wasmtime_func) == 24, "a component function of wasmtime's C API");
_Static_assert(sizeof(struct wasmtime_instance) == 16, "a component instance of wasmtime's C API");
_Static_assert(sizeof(struct wasmtime_bytes) == 16, "a vector of bytes of wasmtime's C API");
_Static_assert(sizeof(struct wasmtime_extern) == 32 && offsetof(struct wasmtime_extern, of) == 8, "an export of wasmtime's C API");
_Static_assert(sizeof(union wasmtime_raw) == 16, "a value that is not checked of wasmtime's C API");

enum { WASMTIME_DEADLINE_CONTINUE, WASMTIME_DEADLINE_YIELD };
/* Told when a store's deadline has passed. An error that it returns ends the call; else the guest goes on, or yields (a future's poll returns), and *RET_TICKS later this is called again. */
typedef wasmtime_error *wasmtime_on_deadline(wasmtime_context *c, void *data, uint64_t *ret_ticks, uint8_t *ret_kind);
/* A function of ours that a guest calls: the arguments are borrowed, the results are to be filled in. */
typedef wasmtime_error *wasmtime_host_func(void *data, wasmtime_context *c, const wasmtime_func_type *type,
                                           struct wasmtime_val *args, size_t args_n, struct wasmtime_val *results,
                                           size_t results_n);
typedef ptrdiff_t wasmtime_on_output(void *data, const unsigned char *bytes, size_t n);

/* X(return type, name, parameters): without one of these the library is of no use to us. */
#define WASMTIME_NEEDED(X)                                                                                                    \
    X(wasmtime_config *, wasm_config_new, (void))                                                                             \
    X(void, wasm_config_delete, (wasmtime_config *))                                                                          \
    X(void, wasmtime_config_wasm_component_model_set, (wasmtime_config *, bool))                                              \
    X(void, wasmtime_config_epoch_interruption_set, (wasmtime_config *, bool))                                                \
    X(void, wasmtime_config_max_wasm_stack_set, (wasmtime_config *, size_t))                                                  \
    X(wasmtime_pooling *, wasmtime_pooling_allocation_config_new, (void))                                                     \
    X(void, wasmtime_pooling_allocation_config_delete, (wasmtime_pooling *))                                                  \
    X(void, wasmtime_pooling_allocation_config_total_core_instances_set, (wasmtime_pooling *, uint32_t))                      \
    X(void, wasmtime_pooling_allocation_config_total_component_instances_set, (wasmtime_pooling *, uint32_t))                 \
    X(void, wasmtime_pooling_allocation_config_total_memories_set, (wasmtime_pooling *, uint32_t))                            \
    X(void, wasmtime_pooling_allocation_config_total_tables_set, (wasmtime_pooling *, uint32_t))                              \
    X(void, wasmtime_pooling_allocation_config_max_memory_size_set, (wasmtime_pooling *, size_t))                             \
    X(void, wasmtime_pooling_allocation_config_max_component_instance_size_set, (wasmtime_pooling *, size_t))                 \
    X(void, wasmtime_pooling_allocation_config_max_core_instance_size_set, (wasmtime_pooling *, size_t))                      \
    X(void, wasmtime_pooling_allocation_config_table_elements_set, (wasmtime_pooling *, size_t))                              \
    X(void, wasmtime_pooling_allocation_config_linear_memory_keep_resident_set, (wasmtime_pooling *, size_t))                 \
    X(void, wasmtime_pooling_allocation_config_table_keep_resident_set, (wasmtime_pooling *, size_t))                         \
    X(void, wasmtime_pooling_allocation_strategy_set, (wasmtime_config *, const wasmtime_pooling *))                          \
    X(wasmtime_engine *, wasm_engine_new_with_config, (wasmtime_config *))                                                    \
    X(void, wasm_engine_delete, (wasmtime_engine *))                                                                          \
    X(void, wasmtime_engine_increment_epoch, (wasmtime_engine *))                                                             \
    X(wasmtime_error *, wasmtime_component_new, (wasmtime_engine *, const char *, size_t, wasmtime_component **))             \
    X(void, wasmtime_component_delete, (wasmtime_component *))                                                                \
    X(wasmtime_export *, wasmtime_component_get_export_index,                                                                 \
      (const wasmtime_component *, const wasmtime_export *, const char *, size_t))                                            \
    X(void, wasmtime_component_export_index_delete, (wasmtime_export *))                                                      \
    X(wasmtime_linker *, wasmtime_component_linker_new, (wasmtime_engine *))                                                  \
    X(void, wasmtime_component_linker_delete, (wasmtime_linker *))                                                            \
    X(wasmtime_error *, wasmtime_component_linker_add_wasip2, (wasmtime_linker *))                                            \
    X(wasmtime_linker_instance *, wasmtime_component_linker_root, (wasmtime_linker *))                                        \
    X(void, wasmtime_component_linker_instance_delete, (wasmtime_linker_instance *))                                          \
    X(wasmtime_error *, wasmtime_component_linker_instance_add_instance,                                                      \
      (wasmtime_linker_instance *, const char *, size_t, wasmtime_linker_instance **))                                        \
    X(wasmtime_error *, wasmtime_component_linker_instance_add_func,                                                          \
      (wasmtime_linker_instance *, const char *, size_t, wasmtime_host_func *, void *, void (*)(void *)))                     \
    X(wasmtime_error *, wasmtime_component_linker_define_unknown_imports_as_traps,                                            \
      (wasmtime_linker *, const wasmtime_component *))                                                                        \
    X(wasmtime_error *, wasmtime_component_linker_instantiate,                                                                \
      (const wasmtime_linker *, wasmtime_context *, const wasmtime_component *, struct wasmtime_instance *))                  \
    X(bool, wasmtime_component_instance_get_func,                                                                             \
      (const struct wasmtime_instance *, wasmtime_context *, const wasmtime_export *, struct wasmtime_func *))                \
    X(wasmtime_error *, wasmtime_component_func_call,                                                                         \
      (const struct wasmtime_func *, wasmtime_context *, const struct wasmtime_val *, size_t, struct wasmtime_val *, size_t)) \
    X(wasmtime_error *, wasmtime_component_func_post_return, (const struct wasmtime_func *, wasmtime_context *))              \
    X(void, wasmtime_component_val_delete, (struct wasmtime_val *))                                                           \
    X(void, wasm_byte_vec_delete, (struct wasmtime_bytes *))                                                                  \
    X(wasmtime_store *, wasmtime_store_new, (wasmtime_engine *, void *, void (*)(void *)))                                    \
    X(void, wasmtime_store_delete, (wasmtime_store *))                                                                        \
    X(wasmtime_context *, wasmtime_store_context, (wasmtime_store *))                                                         \
    X(void *, wasmtime_context_get_data, (const wasmtime_context *))                                                          \
    X(void, wasmtime_store_limiter, (wasmtime_store *, int64_t, int64_t, int64_t, int64_t, int64_t))                          \
    X(void, wasmtime_store_epoch_deadline_callback, (wasmtime_store *, wasmtime_on_deadline *, void *, void (*)(void *)))     \
    X(void, wasmtime_context_set_epoch_deadline, (wasmtime_context *, uint64_t))                                              \
    X(wasmtime_error *, wasmtime_context_set_wasi, (wasmtime_context *, wasmtime_wasi *))                                     \
    X(wasmtime_wasi *, wasi_config_new, (void))                                                                               \
    X(void, wasi_config_delete, (wasmtime_wasi *))                                                                            \
    X(void, wasi_config_set_stdout_custom, (wasmtime_wasi *, wasmtime_on_output *, void *, void (*)(void *)))                 \
    X(void, wasi_config_set_stderr_custom, (wasmtime_wasi *, wasmtime_on_output *, void *, void (*)(void *)))                 \
    X(void, wasmtime_error_message, (const wasmtime_error *, struct wasmtime_bytes *))                                        \
    X(void, wasmtime_error_delete, (wasmtime_error *))                                                                        \
    X(wasmtime_error *, wasmtime_error_new, (const char *))                                                                   \
    X(wasmtime_error *, wasmtime_wat2wasm, (const char *, size_t, struct wasmtime_bytes *))                                   \
    X(wasmtime_error *, wasmtime_module_new, (wasmtime_engine *, const char *, size_t, wasmtime_core **))                     \
    X(void, wasmtime_module_delete, (wasmtime_core *))                                                                        \
    X(wasmtime_core_linker *, wasmtime_linker_new, (wasmtime_engine *))                                                       \
    X(void, wasmtime_linker_delete, (wasmtime_core_linker *))                                                                 \
    X(wasmtime_error *, wasmtime_linker_define_unknown_imports_as_traps, (wasmtime_core_linker *, wasmtime_core *))           \
    X(wasmtime_error *, wasmtime_linker_instantiate_pre,                                                                      \
      (const wasmtime_core_linker *, const wasmtime_core *, wasmtime_core_pre **))                                            \
    X(void, wasmtime_instance_pre_delete, (wasmtime_core_pre *))                                                              \
    X(wasmtime_error *, wasmtime_instance_pre_instantiate,                                                                    \
      (const wasmtime_core_pre *, wasmtime_context *, struct wasmtime_core_instance *, wasmtime_trap **))                     \
    X(bool, wasmtime_instance_export_get,                                                                                     \
      (wasmtime_context *, const struct wasmtime_core_instance *, const char *, size_t, struct wasmtime_extern *))            \
    X(void, wasmtime_extern_delete, (struct wasmtime_extern *))                                                               \
    X(uint8_t *, wasmtime_memory_data, (const wasmtime_context *, const struct wasmtime_memory *))                            \
    X(size_t, wasmtime_memory_data_size, (const wasmtime_context *, const struct wasmtime_memory *))                          \
    X(wasmtime_error *, wasmtime_func_call_unchecked,                                                                         \
      (wasmtime_context *, const struct wasmtime_core_func *, union wasmtime_raw *, size_t, wasmtime_trap **))                \
    X(wasmtime_core_type *, wasmtime_func_type, (const wasmtime_context *, const struct wasmtime_core_func *))                \
    X(void, wasm_functype_delete, (wasmtime_core_type *))                                                                     \
    X(const struct wasmtime_value_types *, wasm_functype_params, (const wasmtime_core_type *))                                \
    X(const struct wasmtime_value_types *, wasm_functype_results, (const wasmtime_core_type *))                               \
    X(uint8_t, wasm_valtype_kind, (const wasmtime_value_type *))                                                              \
    X(void, wasm_trap_message, (const wasmtime_trap *, struct wasmtime_bytes *))                                              \
    X(void, wasm_trap_delete, (wasmtime_trap *))

/* What newer versions can be asked for beyond that; NULL where the library has no such function. */
#define WASMTIME_OPTIONAL(X)                                                                                                    \
    X(void, wasmtime_config_async_stack_size_set, (wasmtime_config *, size_t))                                                  \
    X(void, wasmtime_config_async_support_set, (wasmtime_config *, bool)) /* until version 40: futures need it */               \
    X(void, wasmtime_config_concurrency_support_set, (wasmtime_config *, bool))                                                 \
    X(void, wasmtime_pooling_allocation_config_total_stacks_set, (wasmtime_pooling *, uint32_t))                                \
    X(wasmtime_future *, wasmtime_component_linker_instantiate_async,                                                           \
      (const wasmtime_linker *, wasmtime_context *, const wasmtime_component *, struct wasmtime_instance *, wasmtime_error **)) \
    X(wasmtime_future *, wasmtime_component_func_call_async,                                                                    \
      (const struct wasmtime_func *, wasmtime_context *, const struct wasmtime_val *, size_t, struct wasmtime_val *, size_t,    \
       wasmtime_error **))                                                                                                      \
    X(bool, wasmtime_call_future_poll, (wasmtime_future *))                                                                     \
    X(void, wasmtime_call_future_delete, (wasmtime_future *))

struct wasmtime_api {
#define X(ret, name, parameters) ret(*name) parameters;
    WASMTIME_NEEDED(X)
    WASMTIME_OPTIONAL(X)
#undef X
};
