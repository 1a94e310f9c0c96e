// A certified OpenID provider with a few people, for tests: node provider.js '{"cert": …}'
import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import { Provider } from "oidc-provider";

const given = JSON.parse(process.argv[2]);
const people = given.people;

const server = createServer({ key: readFileSync(given.key), cert: readFileSync(given.cert) });
server.listen(0, "127.0.0.1", () => {
  const issuer = `https://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: given.clients,
    claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name", "hd"], groups: ["groups", "https://example.com/groups"] },
    scopes: ["openid", "email", "profile", "groups"],
    conformIdTokenClaims: given.conform ?? false,
    features: { rpInitiatedLogout: { enabled: true } },
    findAccount: (_context, id) =>
      people[id] && { accountId: id, claims: () => ({ sub: id, ...people[id] }) },
    ttl: { AccessToken: 60, AuthorizationCode: 60, IdToken: (_context, _token, client) => given.lifetimes?.[client.clientId] ?? 60, Interaction: 60, Session: 60, Grant: 60 },
  });
  server.on("request", provider.callback());
  console.log(issuer);
});
process.stdin.on("end", () => process.exit(0)).resume();
