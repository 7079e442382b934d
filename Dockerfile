# The service without TensorFlow:
#   docker build -t urlseq . && docker run --rm -p 8501:8501 urlseq urlparse quote
# A copy of your own: -v "$PWD/runs/mine:/copies/mine:ro", and /copies/mine as the copy's name.
FROM python:3.13-slim
COPY pyproject.toml README.md LICENSE /source/
COPY urlseq /source/urlseq
RUN pip install --no-cache-dir "/source[service]" && rm -r /source && useradd --system urlseq
USER urlseq
EXPOSE 8501
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8501/healthz', timeout=2)"]
ENTRYPOINT ["urlseq", "serve", "--host", "0.0.0.0"]
CMD ["urlparse"]
