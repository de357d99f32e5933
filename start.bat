@echo off
rem Kairos in one step: environment, install, app.   start.bat [test|demo|run COMMAND] [options]
setlocal EnableExtensions DisableDelayedExpansion
chcp 65001 >nul
cd /d "%~dp0"
setlocal EnableDelayedExpansion
if not defined GOMP_SPINCOUNT set "GOMP_SPINCOUNT=1000"
set "GRADIO_ANALYTICS_ENABLED=False"
set "PYTHONUTF8=1"
set "NO_PROXY=localhost,127.0.0.1,%NO_PROXY%"

set "REQUIREMENTS=requirements.txt"
if /i "%~1"=="test" set "REQUIREMENTS=requirements-dev.txt"

if not exist ".venv\Scripts\python.exe" (
    set "FOUND="
    for %%V in (3.11 3.12 3.13) do if not defined FOUND (
        py -%%V -c "import venv" >nul 2>&1 && set "FOUND=py -%%V"
    )
    if not defined FOUND python -c "import sys, venv; raise SystemExit(not (3, 11) <= sys.version_info[:2] <= (3, 13))" >nul 2>&1 && set "FOUND=python"
    if not defined FOUND (
        echo Kairos needs Python 3.11, 3.12 or 3.13: install it from python.org, then start again.
        echo Kairos 需要 Python 3.11、3.12 或 3.13：请从 python.org 安装后重新启动。
        pause
        exit /b 2
    )
    echo Creating .venv ...
    !FOUND! -m venv .venv || exit /b 2
)

rem A stamp of the requirements makes the next start fast and lets it work offline.
for /f %%H in ('.venv\Scripts\python -c "import hashlib,pathlib,sys; print(hashlib.sha256(b''.join(pathlib.Path(n).read_bytes() for n in sys.argv[1:])).hexdigest())" requirements.txt %REQUIREMENTS%') do set "STAMP=%%H"
set "OLD="
if exist ".venv\stamp-%REQUIREMENTS%" set /p OLD=<".venv\stamp-%REQUIREMENTS%"
if not "!OLD!"=="!STAMP!" (
    echo Installing %REQUIREMENTS% ^(once^) ...
    where nvidia-smi >nul 2>&1 && (
        .venv\Scripts\python -m pip install -q --index-url https://download.pytorch.org/whl/cu130 torch==2.13.0
    )
    .venv\Scripts\python -m pip install -q -r %REQUIREMENTS% || (
        echo The installation failed. Check the network or set a pip mirror, then start again.
        echo 安装失败。请检查网络或设置 pip 镜像后重新启动。
        pause
        exit /b 2
    )
    >".venv\stamp-%REQUIREMENTS%" echo !STAMP!
)

rem What a user typed is passed on without delayed expansion, which would take every "!" out of a password.
setlocal DisableDelayedExpansion
if /i "%~1"=="test" (
    .venv\Scripts\python -m pytest
    exit /b
)
if /i "%~1"=="demo" .venv\Scripts\python -m financial_model %*
if /i "%~1"=="demo" exit /b
set ARGUMENTS=%*
if /i "%~1"=="run" .venv\Scripts\python -m financial_model %ARGUMENTS:~4%
if /i "%~1"=="run" exit /b
.venv\Scripts\python app.py %*
if errorlevel 1 pause
