/* cli/cli.h -- the subcommands of smg; each gets the arguments behind its name and returns the process's exit status
 *
 * main.c finds the command; one file per command reads its options (config/option.h) and runs it. Exit status: enum cli_status.
 * Errors are one line each on stderr: "smg: error: <text>".
 */
#pragma once

#include "config/option.h"

enum cli_status {
    CLI_OK,
    CLI_FAILED,           /* could not; of a gateway's client: the gateway said no, or the job failed */
    CLI_USAGE,            /* wrong usage */
    CLI_UNREACHABLE,      /* no answer from the gateway */
    CLI_TIMEOUT,          /* the time of a wait was over; what was asked for goes on in the gateway */
    CLI_INTERRUPTED = 130 /* SIGINT or SIGTERM, as a shell reports it */
};

int cli_launch(int argc, const char *const *argv);      /* launch, start, or no command at all */
int cli_mock_engine(int argc, const char *const *argv); /* mock-engine */
int cli_bench(int argc, const char *const *argv);       /* bench */

int cli_parse_tool(int argc, const char *const *argv);
int cli_parse_reasoning(int argc, const char *const *argv);
int cli_parse_list(int argc, const char *const *argv);

/* Clients of a running gateway (gateway_client.h). */
int cli_worker_list(int argc, const char *const *argv);
int cli_worker_get(int argc, const char *const *argv);
int cli_worker_add(int argc, const char *const *argv);
int cli_worker_patch(int argc, const char *const *argv);
int cli_worker_replace(int argc, const char *const *argv);
int cli_worker_rm(int argc, const char *const *argv);
int cli_worker_drain(int argc, const char *const *argv);
int cli_cache_flush(int argc, const char *const *argv);
int cli_tokenizer_list(int argc, const char *const *argv);
int cli_tokenizer_add(int argc, const char *const *argv);
int cli_tokenizer_status(int argc, const char *const *argv);
int cli_tokenizer_rm(int argc, const char *const *argv);
int cli_tokenize(int argc, const char *const *argv); /* without a gateway where --model-path is given */
int cli_wasm_list(int argc, const char *const *argv);
int cli_wasm_add(int argc, const char *const *argv);
int cli_wasm_rm(int argc, const char *const *argv);
int cli_loads(int argc, const char *const *argv);
int cli_top(int argc, const char *const *argv);

/* Plugins, tried without a gateway. */
int cli_wasm_run(int argc, const char *const *argv);
int cli_wasm_inspect(int argc, const char *const *argv);

/* The tables behind --help and docs/reference. */
extern const struct option_table MOCK_TABLE, BENCH_TABLE, WORKER_LIST_TABLE, WORKER_GET_TABLE, WORKER_ADD_TABLE, WORKER_PATCH_TABLE,
    WORKER_REPLACE_TABLE, WORKER_RM_TABLE, WORKER_DRAIN_TABLE, CACHE_FLUSH_TABLE, TOKENIZER_LIST_TABLE, TOKENIZER_ADD_TABLE,
    TOKENIZER_STATUS_TABLE, TOKENIZER_RM_TABLE, TOKENIZE_TABLE, WASM_LIST_TABLE, WASM_ADD_TABLE, WASM_RM_TABLE, WASM_RUN_TABLE,
    WASM_INSPECT_TABLE, LOADS_TABLE, TOP_TABLE, PARSE_TOOL_TABLE, PARSE_REASONING_TABLE, PARSE_LIST_TABLE;

/* What follows from options_parse's result R: prints the help or the report; returns the exit status (0 with R = 0: go on). */
int cli_parsed(int r, const struct option_table *table, const struct option_report *report);
/* Prints what a report holds; returns its exit status. */
int cli_print_report(const struct option_report *report);
/* Prints the help of TABLE for the terminal's width; returns 0. */
int cli_print_help(const struct option_table *table);
/* Prints "smg: error: <message>" and returns 1. */
int cli_fail(const struct err *err);
/* Has what was printed reach standard output (print.c): CLI_OK, or the failure is printed. */
int cli_flush(void);
/* Prints OUT, all of it. */
int cli_print(const struct buf *out);
