//! A plugin in Rust: marks requests with headers, and turns a 500 into a 503. The types come from plugins/wit/gateway/smg.wit; wit-bindgen makes them.

wit_bindgen::generate!({ path: "../wit/gateway", world: "smg" });

use exports::smg::gateway::{middleware_on_request, middleware_on_response};
use smg::gateway::middleware_types::{Action, Header, ModifyAction, Request, Response};

struct Plugin;

fn header(name: &str, value: &str) -> Header {
    Header { name: name.to_string(), value: value.to_string() }
}

impl middleware_on_request::Guest for Plugin {
    fn on_request(request: Request) -> Action {
        let agent = request.headers.iter().find(|h| h.name == "user-agent").map_or("none", |h| &h.value);
        Action::Modify(ModifyAction {
            status: None,
            headers_set: vec![header("x-seen-by", "rust"), header("x-agent", agent)],
            headers_add: vec![],
            headers_remove: vec![],
            body_replace: None,
        })
    }
}

impl middleware_on_response::Guest for Plugin {
    fn on_response(response: Response) -> Action {
        if response.status == 500 {
            Action::Reject(503)
        } else {
            Action::Continue
        }
    }
}

export!(Plugin);
