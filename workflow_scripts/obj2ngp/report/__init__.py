"""What is shown of all objects together: runs in the report environment."""
