"""Registration tokens as the documents describe them: a prefix and an HS256 JWT."""

import base64
import hashlib
import hmac
import json
import secrets
import time


def registration_token(scope, team):
    """A token of a scope that is good for an hour, signed with a key that nobody keeps."""
    now = int(time.time())
    claims = {"iss": "deploystack.io", "aud": "satellite-registration", "iat": now, "exp": now + 3600,
              "jti": f"{scope[0]}sat_reg_{secrets.token_urlsafe(9)}", "scope": scope,
              **({"team_id": team} if scope == "team" else {}), "created_by": "user_ada",
              "permissions": [f"register_{scope}_satellite"]}
    parts = [encode(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims)]
    signature = hmac.new(secrets.token_bytes(32), ".".join(parts).encode(), hashlib.sha256).digest()
    return f"deploystack_satellite_{scope}_{'.'.join([*parts, encode(signature)])}"


def encode(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
