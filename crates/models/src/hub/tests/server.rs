//! A Hub of one repository on a port of this machine, for tests.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use serde_json::json;

/// The commit that every revision is.
pub(super) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// What there is to serve.
#[derive(Clone, Default)]
pub(super) struct Content {
    pub(super) name: &'static str,
    pub(super) files: BTreeMap<&'static str, Vec<u8>>,
    /// Answers with this status to requests whose path contains the text.
    pub(super) refused: Option<(&'static str, u16)>,
    /// Ends files, but for their first bytes, in the midst.
    pub(super) cuts: bool,
}

pub(super) struct Server {
    pub(super) endpoint: String,
    requests: Arc<Mutex<Vec<String>>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(super) fn start(content: Content) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let requests: Arc<Mutex<Vec<String>>> = Arc::default();
        let log = Arc::clone(&requests);
        let thread = thread::spawn(move || {
            // Until somebody connects and says nothing.
            while let Some((path, range)) = listener.accept().ok().and_then(|(stream, _)| {
                let asked = read(&stream)?;
                answer(&content, &stream, &asked);
                Some(asked)
            }) {
                log.lock().unwrap().push(format!("{path} {}", range.unwrap_or_default()));
            }
        });
        Self { endpoint, requests, thread: Some(thread) }
    }

    /// The paths asked for so far, each with where its range begins and ends.
    pub(super) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(TcpStream::connect(self.endpoint.trim_start_matches("http://")));
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(ended.is_some_and(|ended| ended.is_ok()) || thread::panicking());
    }
}

/// The path and the range of a request.
fn read(stream: &TcpStream) -> Option<(String, Option<String>)> {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    let mut range = None;
    for line in lines.take_while(|line| !line.is_empty()) {
        let line = line.to_lowercase();
        range = line.strip_prefix("range: bytes=").map(str::to_owned).or(range);
    }
    Some((path, range))
}

fn answer(content: &Content, mut stream: &TcpStream, (path, range): &(String, Option<String>)) {
    let (status, headers, body) = found(content, path, range.as_deref());
    let mut length = body.len();
    if content.cuts && length > 1 && path.ends_with(".safetensors") {
        length /= 2;
    }
    write!(
        stream,
        "HTTP/1.1 {status} -\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n",
        body.len()
    )
    .and_then(|()| stream.write_all(&body[..length]))
    .unwrap();
}

/// Status, headers and body.
fn found(content: &Content, path: &str, range: Option<&str>) -> (u16, String, Vec<u8>) {
    if let Some((part, status)) = content.refused
        && path.contains(part)
    {
        return (status, String::new(), Vec::new());
    }
    let name = content.name;
    if path.starts_with(&format!("/api/models/{name}/revision/")) {
        let files: Vec<_> = content.files.keys().map(|file| json!({"rfilename": file})).collect();
        let info = json!({"sha": COMMIT, "siblings": files});
        return (200, String::new(), info.to_string().into_bytes());
    }
    let file = path.strip_prefix(&format!("/{name}/resolve/{COMMIT}/"));
    let Some((file, bytes)) = file.and_then(|file| content.files.get_key_value(file)) else {
        return (404, String::new(), Vec::new());
    };
    let (first, last) = range.and_then(|range| range.split_once('-')).unwrap();
    let first: usize = first.parse().unwrap();
    let end = last.parse().map_or(bytes.len(), |last: usize| (last + 1).min(bytes.len()));
    if first >= end {
        return (416, String::new(), Vec::new());
    }
    let headers = format!(
        "X-Repo-Commit: {COMMIT}\r\nETag: \"{file}-etag\"\r\nContent-Range: bytes {first}-{}/{}\r\n",
        end - 1,
        bytes.len()
    );
    (206, headers, bytes[first..end].to_vec())
}
