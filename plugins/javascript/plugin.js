// A plugin in JavaScript: marks requests with headers, and turns a 500 into a 503. Names are the interface's (plugins/wit/gateway/smg.wit) in camel case.

export const middlewareOnRequest = {
    onRequest(request) {
        const agent = request.headers.find((header) => header.name === 'user-agent');
        return {
            tag: 'modify',
            val: {
                headersSet: [
                    { name: 'x-seen-by', value: 'javascript' },
                    { name: 'x-agent', value: agent?.value ?? 'none' },
                ],
                headersAdd: [],
                headersRemove: [],
            },
        };
    },
};

export const middlewareOnResponse = {
    onResponse(response) {
        return response.status === 500 ? { tag: 'reject', val: 503 } : { tag: 'continue' };
    },
};
