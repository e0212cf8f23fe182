use super::*;

fn meta() -> Meta {
    Meta {
        generation: 1,
        epoch: 300,
        inputs: vec![Position {
            topic: "alerts".to_owned(),
            partition: 3,
            next: Some(17),
            seen: Some(1_700_000_000_000),
            last: Some(1_700_000_000_000),
        }],
        watermark: Some(1_699_999_400_000),
        writer: 5,
        counts: Counts {
            records: 9,
            placed: 7,
            ..Counts::default()
        },
        config: "c0".to_owned(),
        again: Vec::new(),
    }
}

#[test]
fn a_value_carries_its_epoch_and_comes_back() {
    for epoch in [0, 1, 127, 128, 300, u64::MAX] {
        let bytes = encode(epoch, &meta());
        assert_eq!(decode(&bytes), Ok((epoch, meta())));
    }
}

#[test]
fn the_bytes_of_a_value_stay_what_they_are() {
    let hex: String = encode(300, &meta())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    expect_test::expect!["4601ac0202ac020106616c657274730601220180a0abfef9620180a0abfef962018081e2fdf9620a090700000000000002633000"].assert_eq(&hex);
}

#[test]
fn what_is_not_ours_is_told_from_what_is_newer_and_what_is_damaged() {
    let whole = encode(300, &meta());
    let check = |bytes: &[u8]| decode::<Meta>(bytes).unwrap_err();
    assert_eq!(check(b""), StateError::Foreign);
    assert_eq!(check(b"{\"a\":1}"), StateError::Foreign);
    assert_eq!(check(&[b'F', 2, 0]), StateError::Newer { version: 2 });
    assert!(matches!(
        check(&[b'F', 1, 0x80]),
        StateError::Damaged { .. }
    ));
    for cut in 2..whole.len() {
        assert!(
            matches!(check(&whole[..cut]), StateError::Damaged { .. }),
            "{cut}"
        );
    }
    let mut longer = whole;
    longer.push(0);
    assert!(matches!(check(&longer), StateError::Damaged { .. }));
}

#[test]
fn a_length_no_value_can_have_takes_no_memory() {
    let mut bytes = frame(1, &[]);
    bytes.extend([0xff; 9]);
    assert!(decode::<Block>(&bytes).is_err());
}

#[test]
fn keys_are_text_and_come_back() {
    let row = |tenant: &str, row: &str| Key::Row {
        tenant: tenant.to_owned(),
        row: row.to_owned(),
    };
    let quarantine = Key::Quarantine {
        topic: "alerts.edr".to_owned(),
        partition: 3,
        offset: 17,
    };
    let block = Key::Block { epoch: 12, part: 1 };
    let keys = [
        (Key::Meta, "meta"),
        (Key::Start, "start"),
        (Key::Claim, "claim"),
        (block, "block/00000000000000000012/1"),
        (row("contoso", "episode/17"), "row/contoso/episode/17"),
        (
            row("contoso", "lease/2001:db8::1"),
            "row/contoso/lease/2001:db8::1",
        ),
        (quarantine, "quarantine/alerts.edr/3/17"),
    ];
    for (key, text) in keys {
        assert_eq!(key.to_string(), text);
        assert_eq!(Key::read(text.as_bytes()), Ok(key));
    }
    for text in [
        "",
        "metas",
        "meta/x",
        "block/x/1",
        "block/1",
        "row/t",
        "quarantine/t/1",
        "other/1",
    ] {
        assert_eq!(Key::read(text.as_bytes()), Err(StateError::Key), "{text}");
    }
    assert_eq!(Key::read(&[0xff]), Err(StateError::Key));
}
