//! Published SDKs, unchanged: scripts of `tests/clients/` that report to a server with them, run by Node.js, by Python,
//! or by Chromium on a page of another origin.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Seek, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use fantoccini::Locator;
use serde_json::json;

use super::browser::Driver;
use super::{Server, client_program, poll};

/// How long a script may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A file of what `tests/clients/install` has laid down.
#[track_caller]
pub fn installed(path: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/sdks").join(path);
    assert!(path.exists(), "there is no {}: tests/clients/install makes it", path.display());
    path
}

/// Runs `tests/clients/node/NAME`, which finds the server's address in `BOX`, the key in `KEY`, and `more`; what it
/// printed.
#[track_caller]
pub fn node(name: &str, server: &Server, key: &str, more: &[(&str, &str)]) -> String {
    let mut command = Command::new(installed("python/bin/node"));
    command.args(["--preserve-symlinks", "--preserve-symlinks-main"]).arg(installed(&format!("node/node/{name}")));
    run(command, server, key, more)
}

/// As [`node`], of `tests/clients/python/NAME`.
#[track_caller]
pub fn python(name: &str, server: &Server, key: &str, more: &[(&str, &str)]) -> String {
    let mut command = Command::new(installed("python/bin/python"));
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/python").join(name));
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    run(command, server, key, more)
}

/// Runs the program of `tests/clients/doors/`, which has the published SDKs for Rust inside.
#[track_caller]
pub fn rust(arguments: &[&str], server: &Server, key: &str, more: &[(&str, &str)]) -> String {
    let mut command = Command::new(client_program("doors-client"));
    command.args(arguments);
    run(command, server, key, more)
}

#[track_caller]
fn run(mut command: Command, server: &Server, key: &str, more: &[(&str, &str)]) -> String {
    let mut said = tempfile::tempfile().unwrap();
    let told = |said: &mut File| {
        let mut text = String::new();
        said.rewind().unwrap();
        said.read_to_string(&mut text).unwrap();
        text
    };
    command.env("BOX", server.url()).env("KEY", key).envs(more.iter().copied()).current_dir(server.home());
    command.stdin(Stdio::null()).stdout(said.try_clone().unwrap()).stderr(said.try_clone().unwrap());
    let mut child = command.spawn().unwrap();
    let ended = poll::perhaps(PATIENCE, || child.try_wait().unwrap());
    if ended.is_none() {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let text = told(&mut said);
    assert!(ended.is_some_and(|status| status.success()), "{command:?}: {ended:?}\n{text}\n{}", server.log());
    text
}

/// Opens a page of another origin and site in Chromium, which runs `tests/clients/browser/NAME`, bundled with what it
/// imports. The module finds the globals `BOX`, `KEY` and those of `more`, may load files of packages from
/// `/packages/PATH`, and is done when it has been evaluated, its top-level awaits included. Gives back what the browser
/// complained about.
pub async fn browser(name: &str, server: &Server, key: &str, more: &[(&str, &str)]) -> Vec<String> {
    let mut globals = json!({ "BOX": server.url(), "KEY": key });
    for (name, value) in more {
        globals[*name] = json!(value);
    }
    let page = format!(
        "<!doctype html><meta charset=utf-8><link rel=icon href=data:,><title>under way</title><body>\n\
         <script>Object.assign(globalThis, {globals})</script>\n\
         <script type=module>import('/script.js').then(() => document.title = 'done', \
         e => document.title = `failed: ${{e?.stack ?? e}}`)</script>\n"
    );
    let port = serve(page, bundled(name));
    let driver = Driver::start();
    let client = driver.open().await;
    client.goto(&format!("http://localhost:{port}/")).await.unwrap();
    let over = Locator::XPath("//title[not(contains(., 'under way'))]");
    let found = client.wait().at_most(PATIENCE).for_element(over).await;
    let title = client.title().await.unwrap();
    let complaints = driver.complaints(&client).await;
    assert!(found.is_ok() && title == "done", "{name}: {title}\n{complaints:#?}\n{}", server.log());
    client.close().await.unwrap();
    complaints
}

/// A script and all that it imports as one module.
#[track_caller]
fn bundled(name: &str) -> Vec<u8> {
    let output = Command::new(installed("python/bin/node"))
        .arg(installed("node/node_modules/esbuild/bin/esbuild"))
        .arg(installed(&format!("node/browser/{name}")))
        .args(["--bundle", "--format=esm", "--target=es2022", "--preserve-symlinks", "--log-level=warning"])
        .current_dir(installed("node"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Serves a page and its script until the test's process ends; its port.
fn serve(page: String, script: Vec<u8>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let packages = installed("node/node_modules");
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            // A browser may go away at any time.
            _ = answer(stream, |path| match path {
                "/" => Some(("text/html", page.clone().into_bytes())),
                "/script.js" => Some(("text/javascript", script.clone())),
                _ => {
                    let path = Path::new(path.strip_prefix("/packages/")?);
                    let within = path.components().all(|part| matches!(part, Component::Normal(_)));
                    Some(("text/javascript", within.then(|| fs::read(packages.join(path)).ok())??))
                }
            });
        }
    });
    port
}

/// Answers one request, with 404 where there is nothing.
fn answer(stream: TcpStream, find: impl FnOnce(&str) -> Option<(&'static str, Vec<u8>)>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut lines = BufReader::new(&stream).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let path = first.split(' ').nth(1).unwrap_or_default().split('?').next().unwrap_or_default();
    let (status, (kind, body)) =
        find(path).map_or(("404 Not Found", ("text/plain", Vec::new())), |found| ("200 OK", found));
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}; charset=utf-8\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    let mut stream = &stream;
    stream.write_all(head.as_bytes())?;
    stream.write_all(&body)
}
