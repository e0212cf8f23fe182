use super::{Document, Object};
use crate::decode::Reason;

#[track_caller]
fn with<T>(text: &str, read: impl FnOnce(Object<'_>) -> T) -> T {
    let document = Document::parse(text.as_bytes()).expect("JSON");
    read(document.root().object().expect("an object"))
}

#[test]
fn names_are_found_in_any_case_and_the_last_wins() {
    with(r#"{"Ab":1,"aB":2,"n":null}"#, |object| {
        assert_eq!(object.text("AB").as_deref(), Some("2"));
        assert!(!object.has("n"));
        assert!(object.get("nothing").is_none());
    });
}

#[test]
fn numbers_keep_every_digit() {
    with(
        r#"{"u":18446744073709551615,"i":-9223372036854775808,"f":1.5,"t":" 42 ","x":"4 2"}"#,
        |object| {
            assert_eq!(object.text("u").as_deref(), Some("18446744073709551615"));
            let integer = |name| object.get(name).and_then(super::Node::integer);
            assert_eq!(integer("u"), None);
            assert_eq!(integer("i"), Some(i64::MIN));
            assert_eq!(integer("f"), None);
            assert_eq!(integer("t"), Some(42));
            assert_eq!(integer("x"), None);
        },
    );
}

#[test]
fn blank_text_is_as_good_as_none() {
    with(r#"{"a":"  ","b":" b ","c":[1],"d":true}"#, |object| {
        assert_eq!(object.text("a"), None);
        assert_eq!(object.text("b").as_deref(), Some("b"));
        assert_eq!(object.text("c"), None);
        assert_eq!(object.text("d").as_deref(), Some("true"));
        assert_eq!(object.str("d"), None);
    });
}

#[test]
fn one_value_counts_as_a_list_of_one() {
    with(r#"{"a":[1,"2",null,{}],"b":"x","c":null}"#, |object| {
        assert_eq!(object.texts("a").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(object.texts("b").collect::<Vec<_>>(), ["x"]);
        assert_eq!(object.items("c").count(), 0);
    });
}

#[test]
fn paths_lead_through_lists_and_embedded_text() {
    with(r#"{"a":[{"in":"{\"b\":[0,{\"c\":1}]}"}]}"#, |object| {
        let text = object
            .items("a")
            .next()
            .and_then(|item| item.object()?.get("in"));
        let text = text.expect("the text").unfolded().expect("JSON");
        let inside = text.root().object().expect("an object");
        let last = inside.items("b").nth(1).expect("two items");
        assert_eq!(last.path(), "/a/0/in/b/1");
        let missing = last.object().expect("an object").missing("d");
        assert_eq!(
            (missing.reason, missing.field.as_str()),
            (Reason::MissingField, "/a/0/in/b/1/d")
        );
    });
    with("{}", |object| assert_eq!(object.missing("x").field, "/x"));
}

#[test]
fn names_that_no_vendor_chose_do_not_show() {
    with(r#"{"<script>":{"a":1},"\u001b[31m":2}"#, |object| {
        let places: Vec<String> = object.fields().map(|(_, node)| node.path()).collect();
        assert_eq!(places, ["/?", "/?"]);
    });
}

#[test]
fn repeated_names_are_found_in_small_and_large_objects() {
    with(r#"{"a":1,"b":2,"A":3}"#, |object| {
        assert!(object.repeated().is_none())
    });
    with(r#"{"a":1,"b":2,"a":3}"#, |object| {
        assert_eq!(object.repeated().and_then(super::Node::integer), Some(3));
    });
    let many: String = (0..100).map(|number| format!("\"k{number}\":0,")).collect();
    with(&format!("{{{many}\"k7\":1}}"), |object| {
        assert!(object.repeated().is_some())
    });
    with(&format!("{{{many}\"z\":1}}"), |object| {
        assert!(object.repeated().is_none())
    });
}
