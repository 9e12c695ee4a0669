//! Style, script and icon: embedded in the binary, served under names that contain their hash.

use std::sync::LazyLock;

use axum::extract::{Path, Request};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::response::{IntoResponse, Response};
use rust_embed::Embed;

use super::error::PageError;

#[derive(Embed)]
#[folder = "assets/"]
struct Files;

/// One file as it is served.
struct Asset {
    file: String,
    served: String,
    etag: String,
    kind: &'static str,
    bytes: std::borrow::Cow<'static, [u8]>,
}

static ASSETS: LazyLock<Vec<Asset>> = LazyLock::new(|| {
    let assets = Files::iter().filter_map(|file| {
        let embedded = Files::get(&file)?;
        let hash = hex::encode(&embedded.metadata.sha256_hash()[..4]);
        let (stem, extension) = file.rsplit_once('.')?;
        let kind = match extension {
            "css" => "text/css; charset=utf-8",
            "js" => "text/javascript; charset=utf-8",
            "svg" => "image/svg+xml",
            _ => "application/octet-stream",
        };
        let served = format!("{stem}.{hash}.{extension}");
        Some(Asset { etag: format!("\"{hash}\""), served, kind, bytes: embedded.data, file: file.into_owned() })
    });
    assets.collect()
});

/// The name under which an embedded file is served; its own name where there is no such file.
pub fn served_name(file: &str) -> &str {
    ASSETS.iter().find(|asset| asset.file == file).map_or(file, |asset| &asset.served)
}

/// Serves one: kept for a year, since another content has another name.
pub async fn get(Path(name): Path<String>, request: Request) -> Result<Response, PageError> {
    let asset = ASSETS.iter().find(|asset| asset.served == name).ok_or(PageError::NotFound)?;
    let headers = [
        (CONTENT_TYPE, asset.kind),
        (ETAG, asset.etag.as_str()),
        (CACHE_CONTROL, "public, max-age=31536000, immutable"),
    ];
    let known = request.headers().get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    if known.is_some_and(|tags| tags.split(',').any(|tag| tag.trim().trim_start_matches("W/") == asset.etag)) {
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    Ok((headers, asset.bytes.as_ref()).into_response())
}
