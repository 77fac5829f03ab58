use proptest::prelude::*;

use super::*;

fn entry(key_name: &str, hosts: &[&str], fill: u8) -> Entry {
    let hosts = hosts.iter().map(|host| host.parse().unwrap()).collect();
    Entry::new(key_name.into(), Bounds::new(hosts, vec![]), vec![fill; 184], [fill; 12], vec![fill; 40])
        .unwrap()
}

fn placed(key_name: &str, placements: &[&str]) -> Entry {
    let placements = placements.iter().map(|placement| placement.parse().unwrap()).collect();
    Entry::new(key_name.into(), Bounds::new(vec![], placements), vec![7; 184], [7; 12], vec![7; 40]).unwrap()
}

fn three() -> Entries {
    let mut entries = Entries::new();
    entries.put(entry("token", &["api.example.com"], 1)).unwrap();
    entries.put(entry("password", &[], 2)).unwrap();
    entries.put(entry("user", &["a.example:443", "[2001:db8::1]"], 3)).unwrap();
    entries
}

#[test]
fn names_and_hosts_are_read_without_opening() {
    let entries = Entries::parse(&three().to_bytes()).unwrap();
    assert_eq!(entries, three());
    let names: Vec<_> = entries.iter().map(Entry::key_name).collect();
    assert_eq!(names, ["password", "token", "user"]);
    assert_eq!(entries.get("user").unwrap().bounds().allowed_hosts()[0].to_string(), "a.example:443");
    assert!(entries.get("User").is_none());
    assert_eq!(Entries::parse(&Entries::new().to_bytes()), Ok(Entries::new()));
}

#[test]
fn changing_one_entry_leaves_the_bytes_of_the_others() {
    let bytes_of = |entry: &Entry| {
        let mut bytes = Vec::new();
        entry.write(&mut bytes);
        bytes
    };
    let contains = |haystack: &[u8], needle: &[u8]| haystack.windows(needle.len()).any(|w| w == needle);
    let before = three();
    let mut after = before.clone();
    after.put(entry("token", &[], 9)).unwrap();
    after.put(entry("zone", &[], 8)).unwrap();
    after.remove("user").unwrap();
    let bytes = after.to_bytes();
    assert!(contains(&bytes, &bytes_of(before.get("password").unwrap())));
    assert!(!contains(&bytes, &bytes_of(before.get("token").unwrap())));
    assert!(!contains(&bytes, &bytes_of(before.get("user").unwrap())));
    assert_eq!(after.len(), 3);
    assert!(after.remove("user").is_none());
}

#[test]
fn a_list_cut_short_or_longer_is_corrupt() {
    let bytes = three().to_bytes();
    for end in 0..bytes.len() {
        assert_eq!(Entries::parse(&bytes[..end]), Err(EntryError::Corrupt), "cut at {end}");
    }
    assert_eq!(Entries::parse(&[bytes.as_slice(), &[0]].concat()), Err(EntryError::Corrupt));
}

#[test]
fn only_the_one_way_to_write_is_read() {
    let check = |bytes: Vec<u8>| assert_eq!(Entries::parse(&bytes), Err(EntryError::Corrupt));
    let list = |parts: &[&Entry]| {
        let mut bytes = vec![FORMAT_VERSION, 0, u8::try_from(parts.len()).unwrap()];
        parts.iter().for_each(|part| part.write(&mut bytes));
        bytes
    };
    let (a, b) = (entry("a", &["a.example"], 1), entry("b", &[], 2));
    assert!(Entries::parse(&list(&[&a, &b])).is_ok());
    check(list(&[&b, &a]));
    check(list(&[&a, &a]));
    let mut other_version = list(&[&a]);
    other_version[0] = 0;
    check(other_version.clone());
    other_version[0] = 3;
    assert_eq!(Entries::parse(&other_version), Err(EntryError::UnknownVersion));
    let upper = String::from_utf8_lossy(b"a.example").to_uppercase();
    let mut shouted = list(&[&a]);
    let at = shouted.windows(9).position(|w| w == b"a.example").unwrap();
    shouted[at..at + 9].copy_from_slice(upper.as_bytes());
    check(shouted);
    let mut spaced = list(&[&a]);
    spaced[5] = b' ';
    check(spaced);
}

#[test]
fn each_limit_holds_on_both_sides_i10() {
    let make = |name: usize, hosts: usize, wrapped: usize, value: usize| {
        let hosts = vec!["a.example".parse().unwrap(); hosts];
        Entry::new(
            "k".repeat(name),
            Bounds::new(hosts, vec![]),
            vec![0; wrapped],
            [0; 12],
            vec![0; value + TAG_BYTES],
        )
    };
    let largest = make(KEY_NAME_BYTES_MAX, HOSTS_MAX, WRAPPED_KEY_BYTES_MAX, SECRET_VALUE_BYTES_MAX).unwrap();
    assert_eq!(largest.value_bytes(), SECRET_VALUE_BYTES_MAX);
    let mut entries = Entries::new();
    entries.put(largest.clone()).unwrap();
    assert_eq!(Entries::parse(&entries.to_bytes()).unwrap().get(largest.key_name()), Some(&largest));

    assert_eq!(make(KEY_NAME_BYTES_MAX + 1, 0, 1, 0).err(), Some(EntryError::KeyName));
    assert_eq!(make(0, 0, 1, 0).err(), Some(EntryError::KeyName));
    assert_eq!(make(1, HOSTS_MAX + 1, 1, 0).err(), Some(EntryError::TooManyHosts));
    assert_eq!(make(1, 0, WRAPPED_KEY_BYTES_MAX + 1, 0).err(), Some(EntryError::Corrupt));
    assert_eq!(make(1, 0, 0, 0).err(), Some(EntryError::Corrupt));
    assert_eq!(make(1, 0, 1, SECRET_VALUE_BYTES_MAX + 1).err(), Some(EntryError::ValueTooLong));
    assert_eq!(
        Entry::new("k".into(), Bounds::default(), vec![1], [0; 12], vec![0; TAG_BYTES - 1]).err(),
        Some(EntryError::Corrupt)
    );
    let places = |count: usize| {
        let places = (0..count).map(|at| format!("header:x-{at}").parse().unwrap()).collect();
        Entry::new("k".into(), Bounds::new(vec![], places), vec![1], [0; 12], vec![0; TAG_BYTES]).err()
    };
    assert_eq!(
        (places(PLACEMENTS_MAX), places(PLACEMENTS_MAX + 1)),
        (None, Some(EntryError::TooManyPlacements))
    );
}

#[test]
fn an_entry_without_places_keeps_its_bytes_beside_one_that_has_some() {
    let bytes_of = |entry: &Entry| {
        let mut bytes = Vec::new();
        entry.write(&mut bytes);
        bytes
    };
    let before = three();
    let mut after = before.clone();
    after.put(placed("api", &["header:X-Key", "authorization", "header:x-key"])).unwrap();
    let bytes = after.to_bytes();
    assert_eq!((before.to_bytes()[0], bytes[0]), (FORMAT_VERSION, FORMAT_VERSION_PLACES));
    assert_eq!(Entries::parse(&bytes), Ok(after.clone()));
    let written: Vec<_> =
        after.get("api").unwrap().bounds().placements().iter().map(ToString::to_string).collect();
    assert_eq!(written, ["authorization", "header:x-key"]);
    for entry in before.iter() {
        let old = bytes_of(entry);
        assert!(bytes.windows(old.len() + 1).any(|window| window[0] == FORMAT_VERSION && window[1..] == old));
    }
    after.remove("api").unwrap();
    assert_eq!(after.to_bytes(), before.to_bytes(), "the last entry with places takes the version along");
}

#[test]
fn places_are_read_in_the_one_way_that_they_are_written() {
    let mut list = Entries::new();
    list.put(placed("k", &["body", "path"])).unwrap();
    let bytes = list.to_bytes();
    let at = bytes.windows(4).position(|window| window == b"body").unwrap();
    let check = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut changed = bytes.clone();
        change(&mut changed);
        assert_eq!(Entries::parse(&changed), Err(EntryError::Corrupt));
    };
    check(&|bytes| bytes[at..at + 4].copy_from_slice(b"BODY"));
    check(&|bytes| bytes[at..at + 4].copy_from_slice(b"path"));
    check(&|bytes| bytes[at - 3] = 0);
    check(&|bytes| bytes[3] = 3);
    // A list of version 2 without an entry of version 2.
    let mut plain = vec![FORMAT_VERSION_PLACES, 0, 1, FORMAT_VERSION];
    entry("a", &[], 1).write(&mut plain);
    assert_eq!(Entries::parse(&plain), Err(EntryError::Corrupt));
}

#[test]
fn a_place_is_read_within_its_limit_i10() {
    let read = |bytes: usize| {
        let text = format!("header:{}", "a".repeat(bytes - 7));
        let written = [&u16::try_from(bytes).unwrap().to_be_bytes()[..], text.as_bytes()].concat();
        Reader(&written).placement().is_ok()
    };
    assert!(read(PLACEMENT_BYTES_MAX) && !read(PLACEMENT_BYTES_MAX + 1));
}

#[test]
fn a_secret_has_so_many_keys_and_no_more_i10() {
    let mut entries = Entries::new();
    for i in 0..SECRET_KEYS_MAX {
        entries.put(entry(&format!("k{i}"), &[], 1)).unwrap();
    }
    assert_eq!(entries.put(entry("one-more", &[], 1)), Err(EntryError::TooManyKeys));
    entries.put(entry("k7", &[], 2)).unwrap();
    let mut bytes = entries.to_bytes();
    assert_eq!(Entries::parse(&bytes), Ok(entries));
    entry("z", &[], 1).write(&mut bytes);
    bytes[2] += 1;
    assert_eq!(Entries::parse(&bytes), Err(EntryError::Corrupt));
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Entries::parse(&bytes);
    }

    #[test]
    fn what_is_read_after_a_change_of_bytes_is_written_alike(at in any::<prop::sample::Index>(), with in any::<u8>()) {
        let mut bytes = three().to_bytes();
        let at = at.index(bytes.len());
        bytes[at] = with;
        if let Ok(entries) = Entries::parse(&bytes) {
            prop_assert_eq!(entries.to_bytes(), bytes);
        }
    }
}

#[test]
fn a_host_is_read_within_its_limit_i10() {
    let read = |bytes: usize| {
        let written = [&u16::try_from(bytes).unwrap().to_be_bytes()[..], &vec![b'a'; bytes]].concat();
        Reader(&written).text(HOST_BYTES_MAX).map(str::len)
    };
    assert_eq!(read(HOST_BYTES_MAX), Ok(HOST_BYTES_MAX));
    assert_eq!(read(HOST_BYTES_MAX + 1), Err(EntryError::Corrupt));
}
