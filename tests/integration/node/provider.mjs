// A real OpenID provider (npm oidc-provider) for test_auth.py: client credentials, access tokens as JWTs for the resource "urn:smg".
//
//   node provider.mjs PORT     then over HTTP on the same port, besides what the standard says:
//   POST /test/rotate?alg=ES256&keep=1    a new signing key (keep: the old one stays in the set); answers its kid
//   POST /test/outage?on=1                every standard endpoint answers 503
//   GET  /test/counts                     {"jwks":n,"discovery":n}
import http from 'node:http';
import { exportJWK, generateKeyPair } from 'jose';
import Provider from 'oidc-provider';

const port = Number(process.argv[2]);
const issuer = `http://127.0.0.1:${port}`;
const counts = { jwks: 0, discovery: 0 };
let outage = false;
let keys = [];
let filler;
let callback;
let serial = 0;

console.warn = console.info = () => {}; // its advice for production

async function newKey(alg) {
  const { privateKey } = await generateKeyPair(alg, { extractable: true });
  return { ...(await exportJWK(privateKey)), use: 'sig', alg, kid: `key-${++serial}` };
}

function client(id, scope) {
  return {
    client_id: id, client_secret: `${id}-secret`, grant_types: ['client_credentials'], response_types: [], redirect_uris: [],
    token_endpoint_auth_method: 'client_secret_post', scope,
  };
}

const roles = { ops: ['viewer', 'Gateway.Admin'], dev: ['viewer'] };

async function rotate(alg, keep) {
  const fresh = await newKey(alg);
  keys = [fresh, ...(keep ? keys : [])];
  // The provider signs ID tokens with RS256 by default and wants a key for it.
  filler ??= await newKey('RS256');
  const provider = new Provider(issuer, {
    clients: [client('ops', 'api'), client('dev', 'api')],
    jwks: { keys: [...keys, filler] },
    scopes: ['api'],
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: () => ({ scope: 'api', audience: 'smg', accessTokenFormat: 'jwt', accessTokenTTL: 600, jwt: { sign: { alg, kid: fresh.kid } } }),
      },
    },
    extraTokenClaims: (ctx, token) => ({ realm_access: { roles: roles[token.clientId] ?? [] } }),
  });
  callback = provider.callback();
  return fresh.kid;
}

await rotate('RS256', false);
http.createServer(async (request, response) => {
  const url = new URL(request.url, issuer);
  if (url.pathname === '/test/rotate') {
    response.end(await rotate(url.searchParams.get('alg') ?? 'RS256', url.searchParams.has('keep')));
  } else if (url.pathname === '/test/outage') {
    outage = url.searchParams.has('on');
    response.end();
  } else if (url.pathname === '/test/counts') {
    response.end(JSON.stringify(counts));
  } else {
    counts.jwks += url.pathname === '/jwks';
    counts.discovery += url.pathname.startsWith('/.well-known/');
    if (outage) {
      response.statusCode = 503;
      response.end();
    } else {
      callback(request, response);
    }
  }
}).listen(port, '127.0.0.1');
