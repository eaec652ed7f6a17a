"""A plugin in Python: marks requests with headers, and turns a 500 into a 503. The types come from plugins/wit/gateway/smg.wit; componentize-py makes them."""
from wit_world import exports
from wit_world.imports.middleware_types import Action_Continue, Action_Modify, Action_Reject, Header, ModifyAction


class MiddlewareOnRequest(exports.MiddlewareOnRequest):
    def on_request(self, req):
        agent = next((header.value for header in req.headers if header.name == "user-agent"), "none")
        seen = [Header("x-seen-by", "python"), Header("x-agent", agent)]
        return Action_Modify(ModifyAction(status=None, headers_set=seen, headers_add=[], headers_remove=[], body_replace=None))


class MiddlewareOnResponse(exports.MiddlewareOnResponse):
    def on_response(self, resp):
        return Action_Reject(503) if resp.status == 500 else Action_Continue()
