//! Values of JSON that fit, and the places of those that do not.

use super::*;

fn problem<T>(result: Result<T, Invalid>) -> (String, String) {
    match result {
        Ok(_) => panic!("it fits"),
        Err(Invalid { on, property, summary }) => {
            assert_eq!(on, "body");
            (property, summary)
        }
    }
}

#[test]
fn first_place_that_does_not_fit_is_named() {
    let top = Place::top(br#"{"a":{"list":[{"b":1},{"b":"x"}]},"n":null}"#).unwrap();
    let top = top.object().unwrap();
    let a = top.required("a").unwrap();
    let a = a.object().unwrap();
    let list = a.required("list").unwrap();
    let list = list.list().unwrap();
    let first = list[0].object().unwrap();
    assert_eq!(
        problem(first.required("b").unwrap().text(9)),
        ("/a/list/0/b".into(), "a.list.0.b must be a string".into())
    );
    assert_eq!(problem(first.required("c")), ("/a/list/0/c".into(), "a.list.0.c is required".into()));
    assert_eq!(list[1].object().unwrap().required("b").unwrap().text(1).unwrap(), "x");
    assert!(top.optional("n").is_none() && top.required("n").is_ok());
    for body in [&b"[]"[..], b"1", b"\"a\"", b"null"] {
        let place = Place::top(body).unwrap();
        assert_eq!(problem(place.object()), (String::new(), "the body must be an object".into()));
    }
    for body in [&b""[..], b"{", b"{}{}", b"\xff"] {
        assert!(Place::top(body).is_err(), "{body:?}");
    }
}

#[test]
fn counts_are_cut_and_null_is_none() {
    for (json, count) in [
        ("45", Some(45)),
        ("0", Some(0)),
        ("-0", Some(0)),
        ("null", Some(0)),
        ("12.99", Some(12)),
        ("1e3", Some(1_000)),
        ("202601011230", Some(202_601_011_230)),
        ("-1", None),
        ("1e300", None),
        ("\"45\"", None),
        ("true", None),
    ] {
        assert_eq!(Place::top(json.as_bytes()).unwrap().count().ok(), count, "{json}");
    }
}

#[test]
fn texts_are_counted_in_characters_and_mended() {
    for (json, most, text) in [
        (r#""héé""#, 3, Some("héé")),
        (r#""héé""#, 2, None),
        (r#""a\u0041\n""#, 3, Some("aA\n")),
        (r#""x\ud83d""#, 9, Some("x\u{fffd}\u{fffd}\u{fffd}")),
        (r#""a\u0000""#, 9, None),
        ("[97]", 9, None),
        ("null", 9, None),
    ] {
        assert_eq!(Place::top(json.as_bytes()).unwrap().text(most).ok().as_deref(), text, "{json}");
    }
}

#[test]
fn last_of_equal_members_counts() {
    let top = Place::top(br#"{"a":1,"\u0061":"b"}"#).unwrap();
    assert_eq!(top.object().unwrap().filled("a", 9).unwrap().as_deref(), Some("b"));
}
