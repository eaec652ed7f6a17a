/* What the loader's test opens in place of a wasmtime before version 39. */
void *wasm_engine_new(void);

void *wasm_engine_new(void)
{
    return 0;
}
