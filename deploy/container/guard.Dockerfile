# A guard in a container beside its backend, in the same network: the image of deploy/container/Dockerfile, and a folder for its certificate.
# `make containers` runs it. Read first: docs/how-to/guard-a-backend.md.
ARG EVERYHOP=everyhop
FROM ${EVERYHOP}
USER root
RUN install -d -m 0700 -o everyhop -g everyhop /var/lib/everyhop-guard
USER 10001:10001
ENV XDG_RUNTIME_DIR=/var/lib/everyhop-guard
VOLUME /var/lib/everyhop-guard
# What it guards, and for whom, are arguments of docker run.
ENTRYPOINT ["everyhop", "guard", "--state", "/var/lib/everyhop-guard"]
CMD ["--help"]
