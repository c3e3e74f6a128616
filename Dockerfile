# Two stages: the first installs the hash-locked packages, the second has no compiler, no pip, and is not root.
FROM python:3.11-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/tenantgate
WORKDIR /src
COPY requirements/admin.lock requirements/admin.lock
RUN /opt/tenantgate/bin/pip install --no-deps --require-hashes --only-binary :all: -r requirements/admin.lock
COPY pyproject.toml README.md LICENSE ./
COPY proxy proxy
COPY policy policy
COPY admin admin
RUN /opt/tenantgate/bin/pip install --no-deps --no-build-isolation . \
 && /opt/tenantgate/bin/pip uninstall -y setuptools wheel pip

FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="TenantGate" \
      org.opencontainers.image.licenses="GPL-3.0-or-later"
RUN groupadd --system --gid 10001 tenantgate \
 && useradd --system --uid 10001 --gid tenantgate --home-dir /var/lib/tenantgate --create-home \
            --shell /usr/sbin/nologin tenantgate \
 && mkdir /etc/tenantgate /var/log/tenantgate \
 && chown tenantgate:tenantgate /var/log/tenantgate
COPY --from=build /opt/tenantgate /opt/tenantgate
ENV PATH=/opt/tenantgate/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /var/lib/tenantgate
USER 10001:10001
EXPOSE 6432 9632 9633
VOLUME /var/log/tenantgate
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=4s --start-period=15s --retries=3 \
    CMD ["tenantgate", "healthcheck", "-c", "/etc/tenantgate/tenantgate.toml"]
ENTRYPOINT ["tenantgate"]
CMD ["serve", "-c", "/etc/tenantgate/tenantgate.toml"]
