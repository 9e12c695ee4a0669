//! A real provider of OpenID Connect: Glewlwyd, from Debian's package, over a SQLite file of its own.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::http::{Connection, Reply, Request};
use super::poll;
use super::postgres::{free_port, guard::Guard};

/// Who the box is to the provider.
pub const CLIENT: &str = "box";
/// What proves it.
pub const SECRET: &str = "canary-only-these-two-know";
/// Password of every user at the provider.
pub const PASSWORD: &str = "known to the provider alone";
/// The schema as the package brings it, with an administrator.
const SCHEMA: &str = "/usr/share/dbconfig-common/data/glewlwyd/install/sqlite3";
const MODULES: &str = "/usr/lib/glewlwyd";

/// A running provider. Dropping it ends the process and deletes its files.
pub struct Provider {
    guard: Guard,
    address: SocketAddr,
    admin: String,
}

impl Provider {
    /// One that knows the box, which is sent people back at this address.
    pub fn start(redirect: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("tallybox-").tempdir().unwrap().keep();
        let mut guard = Guard::over(folder.clone());
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        fs::write(folder.join("conf"), configuration(address, &folder)).unwrap();
        let database = Command::new("sqlite3").arg(folder.join("db")).stdin(fs::File::open(SCHEMA).unwrap()).status();
        assert!(database.unwrap().success(), "the provider's database cannot be made");
        guard.start(Command::new("glewlwyd").arg(format!("--config-file={}", folder.join("conf").display())));
        poll::until(Duration::from_secs(20), "provider", || {
            let reply = Connection::open(address).ok()?.send(&Request::get("/config")).ok()?;
            (reply.status == 200).then_some(())
        });
        let mut provider = Self { guard, address, admin: String::new() };
        provider.admin = provider.sign_in("admin", "password");
        provider.set_up(redirect, &folder);
        provider
    }

    /// As it names itself.
    pub fn issuer(&self) -> String {
        format!("http://{}/api/oidc", self.address)
    }

    /// Makes a user who is in these groups.
    pub fn user(&self, name: &str, groups: &[&str]) {
        let user = json!({
            "username": name, "enabled": true, "scope": ["openid", "g_profile"], "password": PASSWORD, "groups": groups,
        });
        self.administer("POST", "/user/", &user);
    }

    /// Puts a user into other groups.
    pub fn regroup(&self, name: &str, groups: &[&str]) {
        self.administer("PUT", &format!("/user/{name}"), &json!({ "enabled": true, "groups": groups }));
    }

    /// Goes where the box has sent a browser, as that user: where the provider sends the browser then.
    #[track_caller]
    pub fn visit(&self, location: &str, user: &str) -> String {
        let cookie = self.sign_in(user, PASSWORD);
        let grant = self.json("PUT", &format!("/auth/grant/{CLIENT}/"), &json!({ "scope": "openid" }));
        self.send(&grant.header("cookie", &cookie)).expect(200);
        let target = location.strip_prefix(&format!("http://{}", self.address)).unwrap_or_else(|| panic!("{location}"));
        // What its own page adds once somebody has signed in there.
        let asked = Request::get(&format!("{target}&g_continue")).header("cookie", &cookie);
        self.send(&asked).expect(302).header("location").unwrap().to_owned()
    }

    fn sign_in(&self, user: &str, password: &str) -> String {
        let form = self.json("POST", "/auth/", &json!({ "username": user, "password": password }));
        self.send(&form).expect(200).cookie().unwrap()
    }

    /// Its signing key, the groups of users, the claims that tell them, and the box.
    fn set_up(&self, redirect: &str, folder: &Path) {
        let (private, public) = (folder.join("private.pem"), folder.join("public.pem"));
        openssl(Command::new("openssl").args(["genrsa", "-out"]).arg(&private).arg("2048"));
        openssl(Command::new("openssl").args(["rsa", "-pubout", "-in"]).arg(&private).arg("-out").arg(&public));
        let claim = |name: &str, property: &str| json!({ "name": name, "user-property": property, "type": "string", "mandatory": true });
        let plugin = json!({ "module": "oidc", "name": "oidc", "display_name": "oidc", "parameters": {
            "iss": self.issuer(), "jwt-type": "rsa", "jwt-key-size": "256",
            "key": fs::read_to_string(&private).unwrap(), "cert": fs::read_to_string(&public).unwrap(),
            "access-token-duration": 3600, "refresh-token-duration": 3600, "code-duration": 600,
            "auth-type-code-enabled": true, "auth-type-id-token-enabled": true,
            "pkce-allowed": true, "pkce-required": true, "pkce-method-plain-allowed": false,
            "jwks-show": true, "subject-type": "public", "oauth-as-iss-id": true,
            "claims": [claim("groups", "groups"), claim("preferred_username", "username")],
        }});
        self.administer("POST", "/mod/plugin/", &plugin);
        let groups = json!({ "multiple": true, "read": true, "write": true });
        let users = json!({ "module": "database", "name": "database", "display_name": "users", "parameters": {
            "use-glewlwyd-connection": true, "data-format": { "groups": groups },
        }});
        self.administer("PUT", "/mod/user/database", &users);
        self.administer("PUT", "/mod/user/database/reset", &Value::Null);
        let client = json!({
            "client_id": CLIENT, "name": "box", "enabled": true, "confidential": true, "client_secret": SECRET,
            "scope": [], "redirect_uri": [redirect], "authorization_type": ["code"],
            "token_endpoint_auth_method": ["client_secret_basic"],
        });
        self.administer("POST", "/client/", &client);
    }

    #[track_caller]
    fn administer(&self, method: &'static str, path: &str, body: &Value) {
        self.send(&self.json(method, path, body).header("cookie", &self.admin)).expect(200);
    }

    fn json(&self, method: &'static str, path: &str, body: &Value) -> Request {
        let body = body.to_string().into_bytes();
        let length = body.len().to_string();
        let request = Request { method, body, ..Request::get(&format!("/api{path}")) };
        request.header("content-type", "application/json").header("content-length", &length)
    }

    #[track_caller]
    fn send(&self, request: &Request) -> Reply {
        Connection::open(self.address).unwrap().send(request).unwrap()
    }
}

impl Drop for Provider {
    /// It would take its time.
    fn drop(&mut self) {
        self.guard.signal(Signal::KILL);
    }
}

fn openssl(command: &mut Command) {
    assert!(command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success(), "{command:?}");
}

fn configuration(address: SocketAddr, folder: &Path) -> String {
    format!(
        r#"port={port}
bind_address="127.0.0.1"
external_url="http://{address}"
login_url="login.html"
api_prefix="api"
log_mode="console"
log_level="WARNING"
cookie_secure=0
session_expiration=3600
session_key="SESSION"
admin_scope="g_admin"
profile_scope="g_profile"
user_module_path="{MODULES}/user"
client_module_path="{MODULES}/client"
user_auth_scheme_module_path="{MODULES}/scheme"
plugin_module_path="{MODULES}/plugin"
use_secure_connection=false
secure_connection_key_file="/nowhere"
secure_connection_pem_file="/nowhere"
secure_connection_ca_file="/nowhere"
hash_algorithm="SHA512"
database = {{ type = "sqlite3" path = "{database}" }}
"#,
        port = address.port(),
        database = folder.join("db").display(),
    )
}
