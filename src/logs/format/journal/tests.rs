use std::io::Cursor;

use super::writer::{Packing, Writer};
use super::*;

const START: u64 = 1_700_000_000_000_000;

fn journal(is_compact: bool, packing: Packing, entries: u64, with_arrays: bool) -> Vec<u8> {
    let mut writer = Writer::new(is_compact, packing);
    for index in 0..entries {
        let message = format!("MESSAGE=number {index}");
        let unit = if index % 3 == 2 { "_SYSTEMD_UNIT=session-1.scope" } else { "_SYSTEMD_UNIT=kubelet.service" };
        let fields = ["_HOSTNAME=m1", "SYSLOG_IDENTIFIER=prog", "_PID=42", unit, "PRIORITY=6", &message];
        writer.entry(START + index * 1_000_000, &fields);
    }
    writer.finish(with_arrays)
}

fn lines(bytes: &[u8], units: Option<&[&str]>, from: Option<u64>) -> (Vec<String>, Option<String>) {
    let from = from.map(|micros| Timestamp::from_microsecond(micros as i64).unwrap());
    let mut reader = match JournalReader::open(Cursor::new(bytes), units, from) {
        Ok(reader) => reader,
        Err(error) => return (Vec::new(), Some(error.to_string())),
    };
    let mut text = Vec::new();
    let error = reader.read_to_end(&mut text).err().map(|error| error.to_string());
    (String::from_utf8_lossy(&text).lines().map(str::to_owned).collect(), error)
}

fn numbers(lines: &[String]) -> Vec<u64> {
    lines.iter().filter_map(|line| line.rsplit(' ').next()?.parse().ok()).collect()
}

#[test]
fn reads_every_variant_of_the_format() {
    for is_compact in [false, true] {
        for packing in [Packing::Plain, Packing::Xz, Packing::Lz4, Packing::Zstd] {
            let (lines, error) = lines(&journal(is_compact, packing, 40, true), None, None);
            assert_eq!(error, None, "{is_compact} {packing:?}");
            assert_eq!(numbers(&lines), (0..40).collect::<Vec<_>>(), "{is_compact} {packing:?}");
            assert_eq!(lines[1], "2023-11-14T22:13:21.000000Z m1 prog[42]: number 1");
        }
    }
}

#[test]
fn begins_at_a_time() {
    let bytes = journal(true, Packing::Plain, 40, true);
    for first in [0, 1, 3, 4, 5, 11, 12, 27, 28, 39, 40] {
        let (lines, error) = lines(&bytes, None, Some(START + first * 1_000_000));
        assert_eq!((numbers(&lines), error), ((first..40).collect(), None), "{first}");
    }
    let (lines, _) = lines(&bytes, None, Some(START + 4_000_001));
    assert_eq!(numbers(&lines).first(), Some(&5));
}

#[test]
fn gives_only_the_units_that_are_wanted() {
    let mut writer = Writer::new(false, Packing::Plain);
    for (index, fields) in [
        &["_SYSTEMD_UNIT=etcd-events.service", "MESSAGE=0"][..],
        &["_SYSTEMD_UNIT=sshd.service", "MESSAGE=1"],
        &["_TRANSPORT=kernel", "MESSAGE=2"],
        &["_PID=1", "UNIT=kubelet.service", "_SYSTEMD_UNIT=init.scope", "MESSAGE=3"],
        &["_PID=7", "UNIT=kubelet.service", "_SYSTEMD_UNIT=session-1.scope", "MESSAGE=4"],
        &["_COMM=kubelet", "_SYSTEMD_UNIT=session-1.scope", "MESSAGE=5"],
        &["SYSLOG_IDENTIFIER=/usr/bin/kubelet", "MESSAGE=6"],
        &["_SYSTEMD_UNIT=kubelet.service"],
        &["_SYSTEMD_UNIT=\u{fffd}", "SYSLOG_IDENTIFIER=", "MESSAGE=8"],
    ]
    .into_iter()
    .enumerate()
    {
        writer.entry(START + index as u64, fields);
    }
    let (lines, error) = lines(&writer.finish(true), Some(&["kubelet", "etcd*"]), None);
    assert_eq!((numbers(&lines), error), (vec![0, 2, 3, 5, 6], None));
    assert!(lines[1].contains(" kernel: 2"), "{lines:?}");
}

#[test]
fn a_file_that_was_not_closed_is_read_to_its_end() {
    let (found, error) = lines(&journal(false, Packing::Plain, 9, false), None, None);
    assert_eq!((numbers(&found), error), ((0..9).collect(), None));
    let mut bytes = journal(false, Packing::Plain, 9, false);
    // Space that was set aside.
    bytes.resize(1 << 16, 0);
    assert_eq!(numbers(&lines(&bytes, None, None).0).len(), 9);
}

#[test]
fn damage_costs_what_is_damaged_and_is_told() {
    let good = journal(false, Packing::Plain, 40, true);
    let place = |at: usize| u64::from_le_bytes(good[at..at + 8].try_into().unwrap()) as usize;
    let arrays = [place(176), place(place(176) + 16)];
    // An array is no array any more: its entries are found by walking.
    let mut bytes = good.clone();
    bytes[arrays[1]] = 9;
    let (found, error) = lines(&bytes, None, None);
    assert_eq!(numbers(&found), (0..40).collect::<Vec<_>>());
    assert!(error.unwrap().contains("damaged in 1 places"));
    // An array names itself as the next, and one names an entry of before.
    let mut bytes = good.clone();
    bytes[arrays[0] + 16..arrays[0] + 24].copy_from_slice(&(arrays[0] as u64).to_le_bytes());
    assert_eq!(numbers(&lines(&bytes, None, None).0), (0..40).collect::<Vec<_>>());
    let mut bytes = good.clone();
    let first = bytes[arrays[0] + 24..arrays[0] + 32].to_vec();
    bytes[arrays[0] + 32..arrays[0] + 40].copy_from_slice(&first);
    let (found, error) = lines(&bytes, None, None);
    assert_eq!((found.len(), error.is_some()), (39, true));
}

#[test]
fn survives_whatever_stands_there() {
    let good = journal(true, Packing::Zstd, 6, true);
    for end in 0..good.len() {
        let (found, _) = lines(&good[..end], None, Some(START + 3_000_000));
        assert!(found.len() <= 6);
    }
    let mut seed = 1u64;
    for at in 0..good.len() {
        let mut bytes = good.clone();
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        bytes[at] ^= (seed >> 33) as u8 | 1;
        let (found, _) = lines(&bytes, Some(&["kubelet"]), None);
        assert!(found.len() <= 6, "{at}");
    }
    let mut newer = good.clone();
    newer[13] = 1;
    assert!(lines(&newer, None, None).1.unwrap().contains("newer systemd"));
    let mut huge = good;
    huge[88..96].copy_from_slice(&u64::MAX.to_le_bytes());
    assert!(lines(&huge, None, None).1.unwrap().contains("header"));
}

#[test]
fn a_packed_value_can_not_fill_the_memory() {
    let mut writer = Writer::new(false, Packing::Zstd);
    writer.entry(START, &["_TRANSPORT=kernel", &format!("MESSAGE={}", "x".repeat(3 << 20))]);
    let (found, error) = lines(&writer.finish(true), None, None);
    assert_eq!(error, None);
    assert!(found[0].len() < 300 << 10, "{}", found[0].len());
}
