// Sets up oidc-provider (an OpenID-certified authorisation server from npm) and, beside it, a remote
// that it protects: an MCP server of the official SDK with one tool, which says who calls. Prints one
// line of JSON with both addresses. Arguments: the life of access tokens in seconds.
//
// `GET /stats` of the remote counts what the provider granted and refused, and what the remote served;
// `POST /revoke?ACCOUNT` of it ends an account's grants, as a user would in the provider's own pages;
// `POST /whoami` says whose a token is.
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import Provider from 'oidc-provider';

const life = Number(process.argv[2]);
const stats = { code: 0, refreshed: {}, refused: 0, registered: 0, unauthorised: 0, sessions: {} };
// Of each grant, whose it is.
const grants = new Map();

const listen = (server) =>
  new Promise((done) => server.listen(0, '127.0.0.1', () => done(`http://127.0.0.1:${server.address().port}`)));

// The addresses are known only once both listen.
const front = createServer((request, response) => handle(request, response));
const remote = createServer((request, response) => serve(request, response));
let handle;
const issuer = await listen(front);
const base = await listen(remote);
const resource = `${base}/mcp`;

const provider = new Provider(issuer, {
  features: {
    devInteractions: { enabled: true },
    registration: { enabled: true },
    revocation: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (_, indicator) => {
        if (indicator !== resource) throw new Error('unknown resource');
        return { scope: 'mcp:read', audience: resource, accessTokenTTL: life, accessTokenFormat: 'opaque' };
      },
      useGrantedResource: () => true,
    },
  },
  clientBasedCORS: () => false,
  pkce: { required: () => true },
  rotateRefreshToken: true,
  scopes: ['openid', 'offline_access', 'mcp:read'],
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  cookies: { keys: ['only for this test'] },
});
provider.on('grant.success', (context) => {
  const kind = context.oidc.params.grant_type;
  if (kind === 'authorization_code') stats.code += 1;
  const account = context.oidc.entities.Account?.accountId;
  if (kind === 'refresh_token') stats.refreshed[account] = (stats.refreshed[account] ?? 0) + 1;
  grants.set(context.oidc.entities.Grant.jti, account);
});
provider.on('grant.error', () => { stats.refused += 1; });
provider.on('registration_create.success', () => { stats.registered += 1; });
handle = provider.callback();

const json = (response, status, body, headers = {}) => {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify(body));
};

async function bearer(request) {
  const token = (request.headers.authorization ?? '').replace(/^Bearer /, '');
  const found = token && (await provider.AccessToken.find(token));
  return found && !found.isExpired && found.aud === resource ? found : undefined;
}

const sessions = new Map();

// The official SDK hands a tool what is known of the request's own token, whoever began the session.
async function converse(request, response) {
  let transport = sessions.get(request.headers['mcp-session-id']);
  if (!transport) {
    const account = request.auth.extra.account;
    stats.sessions[account] = (stats.sessions[account] ?? 0) + 1;
    transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: () => randomUUID(),
      onsessioninitialized: (id) => sessions.set(id, transport),
      onsessionclosed: (id) => sessions.delete(id),
    });
    const server = new McpServer({ name: 'docs', version: '1' });
    server.registerTool('whoami', { description: 'Says who calls' }, ({ authInfo }) => ({
      content: [{ type: 'text', text: authInfo.extra.account }],
    }));
    await server.connect(transport);
  }
  return transport.handleRequest(request, response);
}

async function serve(request, response) {
  const metadata = `${base}/.well-known/oauth-protected-resource/mcp`;
  const [path, query] = request.url.split('?');
  switch (path) {
    case '/stats':
      return json(response, 200, stats);
    case '/revoke':
      for (const [id, account] of grants) {
        if (account !== query) continue;
        const grant = await provider.Grant.find(id);
        await provider.RefreshToken.revokeByGrantId(id);
        await provider.AccessToken.revokeByGrantId(id);
        await grant?.destroy();
        grants.delete(id);
      }
      return json(response, 200, {});
    case '/.well-known/oauth-protected-resource/mcp':
      return json(response, 200, { resource, authorization_servers: [issuer], scopes_supported: ['mcp:read'] });
    case '/whoami': {
      const found = await bearer(request);
      return json(response, found ? 200 : 401, { account: found?.accountId });
    }
    case '/mcp': {
      const found = await bearer(request);
      if (!found) {
        stats.unauthorised += 1;
        const challenge = `Bearer resource_metadata="${metadata}", scope="mcp:read"`;
        return json(response, 401, {}, { 'www-authenticate': challenge });
      }
      const account = found.accountId;
      request.auth = { token: found.jti, clientId: found.clientId, scopes: [], extra: { account } };
      return converse(request, response);
    }
    default:
      return json(response, 404, {});
  }
}

console.log(JSON.stringify({ issuer, remote: resource }));
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
