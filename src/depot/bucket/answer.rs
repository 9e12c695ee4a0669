//! What the storage answers, which is XML: lists of names, numbers of uploads, and why something is refused.

use roxmltree::{Document, Node};

use super::super::Stored;

/// A page of names.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) stored: Vec<Stored>,
    /// Asks for the next one.
    pub(super) next: Option<String>,
}

/// Why something is refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: String,
    pub(super) message: String,
    /// Where the bucket is, if the storage tells.
    pub(super) region: Option<String>,
}

/// Reads a page of names.
pub(super) fn page(body: &[u8]) -> Option<Page> {
    let text = std::str::from_utf8(body).ok()?;
    let document = Document::parse(text).ok()?;
    let root = Some(document.root_element()).filter(|root| root.tag_name().name() == "ListBucketResult")?;
    let stored = root
        .children()
        .filter(|node| node.tag_name().name() == "Contents")
        .map(|node| Some(Stored { name: text_of(node, "Key")?, bytes: text_of(node, "Size")?.parse().ok()? }))
        .collect::<Option<Vec<_>>>()?;
    let is_cut = text_of(root, "IsTruncated").is_some_and(|text| text == "true");
    let next = if is_cut { Some(text_of(root, "NextContinuationToken")?) } else { None };
    Some(Page { stored, next })
}

/// Reads by which id an upload in parts goes on.
pub(super) fn upload_id(body: &[u8]) -> Option<String> {
    let document = Document::parse(std::str::from_utf8(body).ok()?).ok()?;
    text_of(document.root_element(), "UploadId")
}

/// Reads why something is refused; `None` where the body says nothing of the kind.
pub(super) fn refusal(body: &[u8]) -> Option<Refusal> {
    let document = Document::parse(std::str::from_utf8(body).ok()?).ok()?;
    let root = Some(document.root_element()).filter(|root| root.tag_name().name() == "Error")?;
    Some(Refusal {
        code: text_of(root, "Code")?,
        message: text_of(root, "Message").unwrap_or_default(),
        region: text_of(root, "Region"),
    })
}

/// The list of parts that ends an upload.
pub(super) fn parts(etags: &[String]) -> String {
    let escaped = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let rows = etags
        .iter()
        .zip(1..)
        .map(|(etag, number)| format!("<Part><PartNumber>{number}</PartNumber><ETag>{}</ETag></Part>", escaped(etag)));
    format!(
        "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{}</CompleteMultipartUpload>",
        rows.collect::<String>()
    )
}

fn text_of(node: Node<'_, '_>, name: &str) -> Option<String> {
    let child = node.children().find(|child| child.tag_name().name() == name)?;
    Some(child.text().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_refusals_are_read() {
        let list = br#"<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
            <IsTruncated>true</IsTruncated><Contents><Key>a/b&amp;c</Key><Size>12</Size></Contents>
            <NextContinuationToken>x=</NextContinuationToken></ListBucketResult>"#;
        let stored = vec![Stored { name: "a/b&c".to_owned(), bytes: 12 }];
        assert_eq!(page(list), Some(Page { stored, next: Some("x=".to_owned()) }));
        assert_eq!(page(b"<ListBucketResult/>"), Some(Page { stored: Vec::new(), next: None }));
        let said = refusal(b"<Error><Code>NoSuchKey</Code><Message>gone</Message></Error>").unwrap();
        assert_eq!((&*said.code, &*said.message, said.region), ("NoSuchKey", "gone", None));
        for body in [&b""[..], b"<html/>", b"<Error>", b"\xff", b"<!DOCTYPE a [<!ENTITY x 'y'>]><Error>&x;</Error>"] {
            assert!(page(body).is_none() && refusal(body).is_none());
        }
    }
}
