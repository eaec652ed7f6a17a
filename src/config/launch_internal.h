/* config/launch_internal.h -- what the launch files share: the callbacks of single options (launch_value.c) and text tests that the rules use, too */
#pragma once

#include "config/launch.h"

/* .syntax callbacks */
int launch_syntax_alias(struct str token, struct err *err);
int launch_syntax_model_id_from(struct str token, struct err *err);
int launch_syntax_selector(struct str token, struct err *err);
int launch_syntax_header_pair(struct str token, struct err *err);
int launch_syntax_control_key(struct str token, struct err *err);
int launch_syntax_role_mapping(struct str token, struct err *err);

/* .validate callbacks; the comment names the type behind VALUE */
int launch_validate_worker_url(const void *value, struct err *err);   /* struct str, an item */
int launch_validate_endpoint_url(const void *value, struct err *err); /* struct option_endpoint */
int launch_validate_host(const void *value, struct err *err);         /* struct str, and so on for the rest */
int launch_validate_metrics_host(const void *value, struct err *err);
int launch_validate_address(const void *value, struct err *err);
int launch_validate_key(const void *value, struct err *err);
int launch_validate_source(const void *value, struct err *err);   /* of a tokenizer */
int launch_validate_readable(const void *value, struct err *err); /* a file that can be read now */
int launch_validate_path(const void *value, struct err *err);     /* begins with "/" */
int launch_validate_origin(const void *value, struct err *err);
int launch_validate_header_name(const void *value, struct err *err);
int launch_validate_bucket(const void *value, struct err *err);    /* double */
int launch_validate_host_port(const void *value, struct err *err); /* struct str "host:port" or "none" */
int launch_validate_tenant_key(const void *value, struct err *err);
int launch_validate_priority_class(const void *value, struct err *err);
int launch_validate_wasm_threads(const void *value, struct err *err); /* uint64_t */

/* An IPv4 or IPv6 address, the latter with or without brackets and with or without a zone. */
bool launch_is_address(struct str text);
/* "[::1]" -> "::1". */
struct str launch_without_brackets(struct str text);
bool launch_is_header_name(struct str text);
