//! Where files are laid down outside of the database, such as backups: a folder, or a bucket of S3-compatible storage.

use std::fmt;
use std::path::PathBuf;

use secrecy::SecretString;

use super::Config;

/// A folder, or a bucket and what the names in it begin with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A folder of this machine, as an absolute path.
    Folder(PathBuf),
    /// `s3://BUCKET/PREFIX`.
    Bucket {
        /// Its name.
        bucket: String,
        /// What all names in it begin with, without a slash at either end; may be empty.
        prefix: String,
    },
}

/// How S3-compatible storage is reached.
#[derive(Clone, Debug)]
pub struct StorageAccess {
    /// Address of the service, without a slash at its end.
    pub endpoint: String,
    /// Its region, which signatures name.
    pub region: String,
    /// Who asks.
    pub access_key: String,
    /// What requests are signed with.
    pub secret_key: SecretString,
}

impl Place {
    /// The place that a text names; `Err` completes the sentence "backup_dir ...".
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some(rest) = text.strip_prefix("s3://") else {
            if text.contains("://") {
                return Err(format!("must be a folder or s3://BUCKET/PREFIX, not `{text}`"));
            }
            return super::read::path(text).map(Self::Folder);
        };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let prefix = prefix.trim_end_matches('/');
        let is_bucket = (3..=63).contains(&bucket.len())
            && bucket.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.'))
            && !bucket.contains("..");
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'=');
        let is_segment = |segment: &str| !segment.is_empty() && !segment.starts_with('.') && segment.bytes().all(plain);
        if !is_bucket || !(prefix.is_empty() || prefix.split('/').all(is_segment)) || prefix.len() > 500 {
            return Err(format!("must be like s3://my-bucket/tallybox, in letters, digits and -_.=, not `{text}`"));
        }
        Ok(Self::Bucket { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => path.display().fmt(f),
            Self::Bucket { bucket, prefix } if prefix.is_empty() => write!(f, "s3://{bucket}"),
            Self::Bucket { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

impl Config {
    /// How S3-compatible storage is reached, where keys for it are set.
    pub fn storage_access(&self) -> Option<StorageAccess> {
        Some(StorageAccess {
            endpoint: self.s3_endpoint.clone(),
            region: self.s3_region.clone(),
            access_key: self.s3_access_key.clone()?,
            secret_key: self.s3_secret_key.clone()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_or_a_bucket_is_read_and_written_alike() {
        for text in ["/var/backups", "s3://my-bucket", "s3://my.bucket-1/a/b_c.d=1"] {
            assert_eq!(Place::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Place::parse("s3://bucket/x/").unwrap().to_string(), "s3://bucket/x");
        for text in [
            "",
            "gs://bucket",
            "s3://",
            "s3://Bucket",
            "s3://ab",
            "s3://bucket//x",
            "s3://bucket/..",
            "s3://bucket/a b",
        ] {
            assert!(Place::parse(text).is_err(), "{text}");
        }
    }
}
