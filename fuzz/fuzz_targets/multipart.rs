//! Forms of `POST /v1/audio/transcriptions`, with the boundary `b`.
#![no_main]

use axum::body::Body;
use axum::extract::{FromRequest, Multipart};
use axum::http::Request;
use libfuzzer_sys::fuzz_target;
use vivavoce::frontends::openai_api::transcriptions::form;

fuzz_target!(|data: &[u8]| {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let request = Request::post("/").header("content-type", "multipart/form-data; boundary=b");
        let request = request.body(Body::from(data.to_vec())).expect("a request");
        let form = Multipart::from_request(request, &()).await.expect("it has a boundary");
        if let Err(problem) = form::read(form).await {
            assert!(problem.status.is_client_error(), "{problem:?}");
        }
    });
});
